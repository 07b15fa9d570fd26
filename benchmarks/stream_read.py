"""Reading and validating a record stream beside bare `orjson.loads` on the same lines, in turn, in one process.

    python benchmarks/stream_read.py [-n ROUNDS]    prints a table, writes benchmarks/results/stream_read.json

The lines are trajectories of about 13 kB with token arrays and log-probs, and with a field that no struct knows, which
the raw line keeps. `orjson.loads` gets lines that lie in memory already; the stream is read from a file in the page
cache, split, decoded into structs and checked. Ratio: the median over rounds of orjson's seconds over the stream's, in
processor time. Repeat it on a shared machine: runs of this version gave 0.76 to 0.84 on two busy cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import orjson

from katcore.records import Call, Node, Scaffold, ToolCall, Trajectory, encode
from katcore.streams import open_output, read_records, splice

RECORDS = 400
TURNS = 3


def float32(value: float) -> float:
    """As an engine gives it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def trajectory(number: int, chance: random.Random) -> bytes:
    """Three turns of a tool conversation: about 600 characters of tool output and 70 sampled tokens a turn."""
    nodes, calls = [], []
    for turn in range(TURNS):
        tokens = [chance.randrange(150_000) for _ in range(150)]
        said = {"role": "user" if turn == 0 else "tool", "content": "src/module.py:42: AssertionError\n" * 18}
        nodes.append(Node(id=2 * turn, parent=2 * turn - 1 if turn else None, role=said["role"], message=said,
                          token_ids=tokens, turn=turn))  # fmt: skip
        command = {"command": f"sed -n '{turn},+40p' src/module.py && grep -rn \"größe\" src/"}
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "bash", "arguments": json.dumps(command)}}
        tokens = [chance.randrange(150_000) for _ in range(70)]
        nodes.append(Node(id=2 * turn + 1, parent=2 * turn, role="assistant", turn=turn, token_ids=tokens,
                          message={"role": "assistant", "content": "Let me look at it.", "tool_calls": [call]},
                          sampled=[(0, 70)], versions=[(0, "step-7")],
                          engine_logprobs=[float32(-chance.expovariate(3)) for _ in tokens],
                          tool_calls=[ToolCall(id=f"c{turn}", name="bash", span=(4, 68), outcome="ok")]))  # fmt: skip
        calls.append(Call(id=turn, node=2 * turn + 1, started_at="2026-01-02T03:04:05.678901Z", first_token_s=0.01,
                          seconds=1.5, usage={"prompt_tokens": 150, "completion_tokens": 70}))  # fmt: skip
    record = Trajectory(id=f"{number:020x}", task_id="t", group_id="g", scaffold=Scaffold(name="bash-loop"), model="m",
                        nodes=nodes, calls=calls)  # fmt: skip
    return splice(encode(record), a_later_field={"kept": [1, 2, 3]})


def seconds(action: Callable[[], Iterable[object]]) -> float:
    """Processor time of using up an iterator, nothing kept."""
    started = time.process_time()
    for _ in action():
        pass
    return time.process_time() - started


def measure(folder: Path, lines: list[bytes], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant, a round after the other."""
    files = {name: folder / f"x.{suffix}" for name, suffix in (("read", "jsonl"), ("read_zst", "zst"))}
    for file in files.values():
        out = open_output(file, None, False)
        for line in lines:
            out.write(line, "kat.trajectory/1")
        out.finish()
    contestants: dict[str, Callable[[], Iterable[object]]] = {
        "orjson": lambda: map(orjson.loads, lines),
        "read": lambda: read_records([files["read"]]),
        "read_zst": lambda: read_records([files["read_zst"]]),
    }
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, action in contestants.items():
            took = seconds(action)
            if turn:  # the first round warms up
                found[name].append(took)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=21)
    rounds = parser.parse_args().n
    chance = random.Random(0)
    lines = [trajectory(number, chance) for number in range(RECORDS)]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), lines, rounds)
    size = sum(map(len, lines))
    result = {
        "ratio": round(statistics.median(a / b for a, b in zip(found["orjson"], found["read"])), 3),
        "ratio_of_minima": round(min(found["orjson"]) / min(found["read"]), 3),
        "ratio_zst": round(statistics.median(a / b for a, b in zip(found["orjson"], found["read_zst"])), 3),
        "mb_per_s": {name: round(size / statistics.median(took) / 1e6, 1) for name, took in found.items()},
        "seconds": {name: [round(one, 5) for one in took] for name, took in found.items()},
        "records": RECORDS,
        "bytes_per_record": round(size / RECORDS),
        "rounds": rounds,
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "load": [round(one, 1) for one in os.getloadavg()],
        "python": platform.python_version(),
        "msgspec": msgspec.__version__,
        "orjson": orjson.__version__,
    }
    path = Path(__file__).parent / "results" / "stream_read.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name, rate in result["mb_per_s"].items():
        print(f"{name:10} {rate:8.1f} MB/s")
    print(f"read / orjson.loads = {result['ratio']}, from zstd {result['ratio_zst']}")


def cpu() -> str:
    """The processor's name."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()


if __name__ == "__main__":
    main()
