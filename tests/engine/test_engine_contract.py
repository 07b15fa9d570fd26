"""The embedded engine keeps the contract of engines."""

from __future__ import annotations

import json
from collections.abc import Iterator

import aiohttp
import pytest
from engine_contract import CONTRACT, Bench, run
from tiny_models import Folder

from katcore.engine.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def bench(model_folder: Folder) -> Iterator[Bench]:
    with EmbeddedServer(model_folder()) as server:

        async def running() -> int:
            async with aiohttp.ClientSession() as session, session.get(f"{server.url}/server_info") as response:
                state = json.loads(await response.read())
            return int(state["running"] + state["waiting"])

        yield Bench(server.url, model_folder(), model_folder(seed=1), running)


@pytest.mark.parametrize("name", CONTRACT)
def test_the_embedded_engine(bench: Bench, name: str) -> None:
    assert run(bench, name)
