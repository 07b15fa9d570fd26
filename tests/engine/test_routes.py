"""Several servers with one model: who gets a prompt, and what happens when one dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from katcore.engine import Generation, SamplingParams
from katcore.engine.embedded.server import EmbeddedServer
from katcore.engine.names import open_engine
from katcore.engine.routes import Routes
from katcore.engine.sglang import SGLangEngine
from katcore.errors import EngineError
from tests.support.engine_contract import Reference, greatest, prompt
from tests.support.tiny_models import Folder

LONG = SamplingParams(temperature=0.0, max_new_tokens=300)


class Relay:
    """A port in front of a server; `die` cuts what runs and refuses what comes, as a killed server does."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._writers: list[asyncio.StreamWriter] = []
        self.taken = 0
        self._server: asyncio.Server

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def die(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        upstream, onward = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, onward]
        await asyncio.gather(_copy(reader, onward), _copy(upstream, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture(scope="module")
def servers(model_folder: Folder) -> Iterator[list[EmbeddedServer]]:
    with EmbeddedServer(model_folder()) as one, EmbeddedServer(model_folder()) as other:
        yield [one, other]


@asynccontextmanager
async def relayed(servers: list[EmbeddedServer]) -> AsyncIterator[tuple[SGLangEngine, list[Relay]]]:
    relays = [Relay(server.url) for server in servers]
    engine = await open_engine("sglang:" + ",".join([await relay.start() for relay in relays]))
    try:
        yield engine, relays
    finally:
        await engine.close()
        for relay in relays:
            relay.die()


def test_a_stream_goes_on_at_another_server(servers: list[EmbeddedServer], model_folder: Folder) -> None:
    async def work() -> list[Generation]:
        parts: list[Generation] = []
        async with relayed(servers) as (engine, relays):
            async for part in engine.stream(prompt(30), LONG):
                parts.append(part)
                if len(parts) == 3:
                    next(relay for relay in relays if relay.taken).die()
            assert [relay.taken > 0 for relay in relays] == [True, True]
        return parts

    parts = asyncio.run(work())
    ids = [token for part in parts for token in part.token_ids]
    assert len(ids) == 300 and [part.finish_reason for part in parts if part.finish_reason] == ["length"]
    assert {part.prompt_tokens for part in parts} == {30}
    wanted = Reference().logprobs(model_folder(), prompt(30) + ids, 30)
    assert greatest([each for part in parts for each in part.logprobs], wanted) < 1e-5


@pytest.mark.slow
def test_what_a_dead_server_had_is_done_by_another(servers: list[EmbeddedServer]) -> None:
    async def work() -> None:
        async with relayed(servers) as (engine, relays):
            before = sum(server.worker.steps for server in servers)
            tasks = [asyncio.create_task(engine.generate(prompt(20, salt), LONG)) for salt in range(4)]
            while sum(server.worker.steps for server in servers) < before + 10:
                await asyncio.sleep(0.005)
            assert [relay.taken for relay in relays] == [2, 2]
            relays[0].die()
            assert {len((await task).token_ids) for task in tasks} == {300}
            assert len((await engine.generate(prompt(9), LONG)).token_ids) == 300
            with pytest.raises(EngineError, match="does not answer"):
                await engine.update_weights(servers[0].worker.model.folder, "v1")
            assert await engine.health() is False

    asyncio.run(work())


@pytest.mark.slow
def test_weights_and_pauses_go_to_all(servers: list[EmbeddedServer], model_folder: Folder) -> None:
    async def work() -> None:
        engine = SGLangEngine([server.url for server in servers])
        await engine.pause()
        assert all(server.worker.held for server in servers)
        await engine.update_weights(str(model_folder(seed=1)), "v2")
        await engine.resume()
        found = await asyncio.gather(*(engine.generate(prompt(8, salt), LONG) for salt in range(4)))
        assert [each.versions for each in found] == [[(0, "v2")]] * 4
        assert not any(server.worker.held for server in servers) and await engine.health()
        await engine.update_weights(str(model_folder()), "default")
        await engine.close()

    asyncio.run(work())


def test_a_conversation_stays_where_its_prefix_is() -> None:
    routes = Routes(3)
    first = [routes.pick(prompt(200, salt)) for salt in range(3)]
    assert sorted(first) == [0, 1, 2]
    for _ in range(2):
        assert [routes.pick(prompt(200, salt) + prompt(100, 7)) for salt in range(3)] == first
    assert routes.pick(prompt(200, 1)[:70]) == first[1]


def test_a_busy_server_is_passed_over_and_a_dead_one_too() -> None:
    routes = Routes(2)
    home = routes.pick(prompt(200))
    routes.running[home] = 9
    assert routes.pick(prompt(200)) == 1 - home
    routes.running[home] = 0
    routes.failed(1 - home)
    assert routes.pick(prompt(200)) == home
    routes.answered(1 - home)
    assert routes.pick(prompt(200), {home}) == 1 - home
    assert routes.pick(prompt(200), {0, 1}) in (0, 1)


def test_a_name_of_several_servers(tmp_path: Path) -> None:
    engine = asyncio.run(open_engine("sglang:http://one:1,https://two:2"))
    assert engine.name == "sglang:http://one:1,https://two:2"
