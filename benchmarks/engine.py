"""Tokens a second of the embedded engine with agents attached, beside plain decoding with transformers.

    python -m benchmarks.engine [--rounds N] [--model DIR] [--json]   --json prints the list, and writes the result file

Agents: as many as rows, in a process of their own, at a gateway in this one, each with its socket; the engine is a
third process, as under kat-rollout. Every agent makes two calls that sample 128 tokens each, behind a prompt of about
300.
Plain: one process with the same model, a batch of as many rows, a prompt of 300 tokens, 256 steps of
`model(...)`, softmax and multinomial; its better one of one thread and as many as there are cores. Tokens are those
sampled, seconds those from the first call to the last answer (plain: from the prompt on). Busy: beside as many endless
loops as there are cores, plain with one thread. Engine and plain take turns; medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROWS = (1, 8, 32)
TURNS, COMPLETION, PROMPT = 2, 128, 300
_BUSY = "while True: pass"


def plain(folder: str, rows: int, threads: int) -> float:
    """Tokens a second of decoding a batch."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.cache_utils import DynamicCache

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(3, model.config.vocab_size, (rows, PROMPT))
    mask, cache = torch.ones_like(ids), DynamicCache()
    with torch.inference_mode():
        began = time.monotonic()
        for _ in range(TURNS * COMPLETION):
            out = model(ids, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1)
            ids = torch.multinomial(torch.softmax(out.logits[:, -1], -1), 1)
            mask = torch.cat([mask, mask.new_ones(rows, 1)], dim=1)
    return rows * TURNS * COMPLETION / (time.monotonic() - began)


async def agent(socket: str, key: str) -> int:
    """One agent's calls; how many tokens it got."""
    import aiohttp

    said: list[dict[str, Any]] = [{"role": "user", "content": "Look around and mend it. " * 20}]
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session:
        got = 0
        for _ in range(TURNS):
            body = {"model": "m", "messages": said, "max_tokens": COMPLETION}
            headers = {"Authorization": f"Bearer {key}"}
            async with session.post("http://gateway/v1/chat/completions", json=body, headers=headers) as response:
                answer = await response.json()
            got += answer["usage"]["completion_tokens"]
            said += [answer["choices"][0]["message"], {"role": "user", "content": "Go on. " * 5}]
    return got


def agents() -> None:
    """The agents' process: sockets and keys on standard input, then tokens and seconds on standard output."""

    import aiohttp  # noqa: F401 - ahead of the clock: what a client takes to start is not the engine's

    async def all_of(places: list[tuple[str, str]]) -> None:
        began = time.monotonic()
        got = sum(await asyncio.gather(*(agent(*place) for place in places)))
        print(json.dumps([got, time.monotonic() - began]))

    asyncio.run(all_of(json.load(sys.stdin)))


class Attached:
    """An engine process behind a gateway."""

    def __init__(self, folder: str, scratch: Path) -> None:
        from katcore.engine.names import open_engine
        from katcore.gateway.server import Gateway
        from katcore.model.folder import load

        self.chat = load(Path(folder))
        self.gateway = Gateway(scratch / "journal")
        self.engine = self.gateway.call(open_engine(f"embedded:{folder}"))
        self.number = 0

    def tokens_per_second(self, rows: int) -> float:
        """Of that many agents at once."""
        from katcore.engine import SamplingParams
        from katcore.gateway.model import TokenModel
        from katcore.gateway.session import Caps

        model = TokenModel(self.engine, self.chat, "m")
        caps = Caps(calls=1 << 20, tokens=1 << 30, seconds=3600.0, context=1 << 20, completion=4096)
        how = {"caps": caps, "sampling": SamplingParams(), "history": "sampled"}
        self.number += 1
        sessions = [self.gateway.open(f"s{self.number}-{row}", model, seed=row, **how) for row in range(rows)]
        told = json.dumps([(str(session.socket), session.key) for session in sessions])
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.engine", "--agents"],
            input=told,
            capture_output=True,
            text=True,
            check=True,
        )
        for session in sessions:
            self.gateway.close_session(session)
        tokens, seconds = json.loads(done.stdout)
        return float(tokens / seconds)

    def close(self) -> None:
        """End both."""
        self.gateway.call(self.engine.close())
        self.gateway.close()


def plainly(folder: str, rows: int, threads: int) -> float:
    """`plain` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engine", "--plain", folder, str(rows), str(threads)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.split()[-1])


@contextmanager
def neighbours() -> Iterator[None]:
    """A context beside as many endless loops as there are cores."""
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure(folder: str, rounds: int) -> list[dict[str, Any]]:
    """One row of the result for each number of rows."""
    found = []
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as scratch:
        attached = Attached(folder, Path(scratch))
        try:
            attached.tokens_per_second(1)  # what is made at the first call
            for rows in ROWS:
                taken: dict[str, list[float]] = {}

                def take(name: str, value: float, into: dict[str, list[float]] = taken) -> None:
                    into.setdefault(name, []).append(value)

                for _ in range(rounds):
                    take("tokens_per_second", attached.tokens_per_second(rows))
                    one, all_cores = plainly(folder, rows, 1), plainly(folder, rows, os.cpu_count() or 1)
                    take("plain_tokens_per_second", max(one, all_cores))
                    with neighbours():
                        take("busy_tokens_per_second", attached.tokens_per_second(rows))
                        take("plain_busy_tokens_per_second", plainly(folder, rows, 1))
                found.append({"rows": rows, **{name: round(median(values), 1) for name, values in taken.items()}})
        finally:
            attached.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="", help="a model folder; by default one that kat-train init makes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--agents", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--plain", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.agents:
        return agents()
    if given.plain:
        folder, rows, threads = given.plain
        print(plain(folder, int(rows), int(threads)))
        return None
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="kat-bench-model-") as made:
        if not given.model:
            init = Path(sys.executable).with_name("kat-train")
            subprocess.run([init, "init", "--out", f"{made}/base"], check=True, capture_output=True)
        rows = measure(given.model or f"{made}/base", given.rounds)
    if given.json:
        print(json.dumps(rows, indent=2))
        about = {"python": platform.python_version(), "cpus": os.cpu_count(), "load_before": round(load, 2)}
        result = {"benchmark": "engine", **about, "rounds": given.rounds, "rows": rows}
        (ROOT / "benchmarks/results/engine.json").write_text(json.dumps(result, indent=2) + "\n")
        return None
    for row in rows:
        quiet = row["tokens_per_second"] / row["plain_tokens_per_second"]
        busy = row["plain_busy_tokens_per_second"] / row["busy_tokens_per_second"]
        print(f"{row['rows']:>3} rows: {row['tokens_per_second']:>8} tokens/s, {quiet:.2f} of plain", end="")
        print(f"; busy {row['busy_tokens_per_second']:>8}, {busy:.2f} x slower than plain with one thread")
    return None


if __name__ == "__main__":
    main()
