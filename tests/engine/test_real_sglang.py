"""SGLang's own server on a CPU keeps the contract of engines, and its router stands in front of engines that die.

`make test-sglang` runs it: it needs an environment that `scripts/sglang/install` makes, whose python
`KAT_SGLANG_PYTHON` names. `KAT_SGLANG_TABLE` names a file for the results.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from katcore.engine import SamplingParams
from katcore.engine.launcher import CPU_ENVIRONMENT, ON_CPU, launch, launch_router
from katcore.engine.sglang import SGLangEngine
from tests.support.engine_contract import CONTRACT, TOLERANCE, Bench, prompt, run
from tests.support.tiny_models import Folder

NOT_ON_A_CPU = {
    "a_seed_repeats": "needs --enable-deterministic-inference, whose attention backends all need a GPU",
    "nothing_runs_while_memory_is_lent": "needs --enable-memory-saver, which needs a GPU",
}

pytestmark = [pytest.mark.slow, pytest.mark.sglang]


@pytest.fixture(scope="module")
def python() -> Path:
    return Path(os.environ["KAT_SGLANG_PYTHON"])


@pytest.fixture(scope="module")
def table(python: Path) -> Iterator[dict[str, dict[str, str]]]:
    """Results by engine and check, written at the end."""
    not_run = {name: f"not run: {reason}" for name, reason in NOT_ON_A_CPU.items()}
    rows: dict[str, dict[str, str]] = {"sglang": not_run, "embedded": {}, "sglang-router": {}}
    yield rows
    names = ("sglang", "sglang-router", "torch", "transformers")
    asked = f"from importlib.metadata import version; print(*map(version, {names}))"
    found = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    versions = dict(zip(names, found))
    if path := os.environ.get("KAT_SGLANG_TABLE"):
        written = {"versions": versions, "tolerance": TOLERANCE, "checks": rows}
        Path(path).write_text(json.dumps(written, indent=2) + "\n")


@pytest.fixture(scope="module")
def bench(python: Path, model_folder: Folder) -> Iterator[Bench]:
    with launch(model_folder(), python, ON_CPU, environment=CPU_ENVIRONMENT | {"OMP_NUM_THREADS": "1"}) as server:

        async def running() -> int:
            async with aiohttp.ClientSession() as session, session.get(f"{server.url}/v1/loads") as response:
                (load,) = json.loads(await response.read())["loads"]
            return int(load["num_running_reqs"] + load["num_waiting_reqs"])

        yield Bench(server.url, model_folder(), model_folder(seed=1), running)


@pytest.mark.parametrize("name", [name for name in CONTRACT if name not in NOT_ON_A_CPU])
def test_sglang_itself(bench: Bench, table: dict[str, dict[str, str]], name: str) -> None:
    table["sglang"][name] = "failed"
    table["sglang"][name] = run(bench, name)


@pytest.mark.parametrize("name", CONTRACT)
def test_the_embedded_engine_beside_it(embedded_bench: Bench, table: dict[str, dict[str, str]], name: str) -> None:
    table["embedded"][name] = "failed"
    table["embedded"][name] = run(embedded_bench, name)


def embedded(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """An engine in a process of its own, to be killed."""
    command = [sys.executable, "-m", "katcore.engine.embedded.server", "--model", str(folder), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_worker_behind_the_router_dies(python: Path, model_folder: Folder, table: dict[str, dict[str, str]]) -> None:
    name, rows = "a_worker_behind_the_router_dies", table["sglang-router"]
    rows[name] = "failed"
    params = SamplingParams(temperature=0.0, max_new_tokens=200)
    workers = [embedded(model_folder()) for _ in range(2)]

    async def work(url: str) -> str:
        engine = SGLangEngine(url)
        plain = [await engine.generate(prompt(20, salt), params) for salt in range(20)]
        tasks: list[asyncio.Task[Any]] = []
        for salt in range(20):
            tasks.append(asyncio.create_task(engine.generate(prompt(20, salt), params)))
            tasks.append(asyncio.create_task(whole(engine, prompt(20, salt))))
        await asyncio.sleep(0.5)
        started = time.monotonic()
        workers[0][0].send_signal(signal.SIGKILL)
        found = await asyncio.gather(*tasks)
        after = [await engine.generate(prompt(20), params) for _ in range(5)]
        assert [each.token_ids for each in after] == [plain[0].token_ids] * 5
        await engine.close()
        assert [each.token_ids for each in found[::2]] == [each.token_ids for each in plain]
        assert found[1::2] == [each.token_ids for each in plain]
        return f"40 calls answered, the last {time.monotonic() - started:.1f} s after the kill; 5 more at once"

    async def whole(engine: SGLangEngine, tokens: list[int]) -> list[int]:
        return [token async for part in engine.stream(tokens, params) for token in part.token_ids]

    try:
        with launch_router([url for _, url in workers], python, ["--policy", "round_robin"]) as router:
            rows[name] = asyncio.run(work(router.url))
    finally:
        for process, _ in workers:
            process.kill()
            process.wait()
