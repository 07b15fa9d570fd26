"""Requests to a running embedded engine: through the client that commands use, and bare."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from katcore.engine.sglang import SGLangEngine


def prompt(length: int, salt: int = 0) -> list[int]:
    return [9 + (at * at * 31 + at * 7 + salt * 101) % 4000 for at in range(length)]


def use(url: str, work: Callable[[SGLangEngine], Awaitable[Any]]) -> Any:
    """Run `work` with a client of `url` in a fresh event loop."""

    async def run() -> Any:
        engine = SGLangEngine(url)
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


async def post(url: str, path: str, body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url + path, json=body) as response:
        data = await response.read()
        return response.status, json.loads(data) if data.startswith((b"{", b"[")) else data


async def get(url: str, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url + path) as response:
        return response.status, await response.read()
