"""How much is written while the first item takes long: kat-rollout and kat-verify as they are, and with `--ordered`.

    python -m benchmarks.as_done [--rounds 3] [--json FILE]

4 jobs, 200 items. `rollout`: one task with 200 samples, bash-loop and a script; the first sample's command sleeps 6 s,
the others' 0.05 s; what a rollout takes besides (box, agent, patch) is in it. `verify`: 200 programs that are run in
boxes, of which the first sleeps as long. Counted are records at the other end of the pipe: `at_6_s` so many seconds
after the task's line came, `first_s` and `last_s` when the first and the last of them came, `slow_s` when the slow one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rollout_start import archive

ROOT = Path(__file__).resolve().parent.parent
ITEMS, JOBS, SLOW_S, OTHERS_S = 200, 4, 6.0, 0.05


def rollouts(folder: Path) -> list[str]:
    """The command over one task, and its script."""
    from katcore.environment.built import environment_digest, this_base, this_platform
    from katcore.records import Environment, Task, TaskSource, encode

    where = (this_base(), this_platform())
    task = Task(
        instance_id="t", repo="t", base_commit="0", created_at="2024-01-01T00:00:00Z", problem_statement="Wait.",
        source=TaskSource(kind="inline", url=archive()),
        environment=Environment(base=where[0], platform=where[1], digest=environment_digest(*where, [])),
    )  # fmt: skip
    (folder / "tasks.jsonl").write_bytes(encode(task) + b"\n")
    lines = []
    for sample in range(ITEMS):
        call = {"function": {"name": "bash", "arguments": json.dumps({"command": f"sleep {seconds(sample)}"})}}
        lines.append(json.dumps({"sample": sample, "messages": [{"role": "assistant", "tool_calls": [call]}]}))
    (folder / "script.jsonl").write_text("\n".join(lines) + "\n")
    engine = f"scripted:{folder / 'script.jsonl'}"
    return ["kat-rollout", str(folder / "tasks.jsonl"), "--samples", str(ITEMS), "--engine", engine]


def gradings(folder: Path) -> list[str]:
    """The command over one task and its attempts, each a program that sleeps."""
    from katcore.records import Scaffold, Task, TaskSource, Trajectory, Verification, encode

    rule = {"check": "program", "cases": [{"stdout": "ok"}], "time_s": 60}
    task = Task(
        instance_id="t", repo="t", base_commit="0", created_at="2024-01-01T00:00:00Z", problem_statement="Say ok.",
        source=TaskSource(kind="inline"), verification=Verification(kind="rules", rubric={"rules": [rule]}),
    )  # fmt: skip
    with (folder / "attempts.jsonl").open("wb") as file:
        file.write(encode(task) + b"\n")
        for number in range(ITEMS):
            answer = f"```python\nimport time\ntime.sleep({seconds(number)})\nprint('ok')\n```\n"
            attempt = Trajectory(
                id=f"a{number}", task_id="t", group_id="t", sample_index=number, scaffold=Scaffold(name="s"), model="m",
                artifacts={"answer": answer},
            )  # fmt: skip
            file.write(encode(attempt) + b"\n")
    return ["kat-verify", str(folder / "attempts.jsonl")]


def seconds(number: int) -> float:
    """How long an item takes by itself."""
    return SLOW_S if number == 0 else OTHERS_S


def watch(command: list[str], cache: Path) -> dict[str, float]:
    """When its records came, seconds after the task's line."""
    env = {**os.environ, "KAT_CACHE": str(cache)}
    came: list[float] = []
    slow = began = 0.0
    with subprocess.Popen([*command, "-j", str(JOBS), "-q"], stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout
        for line in process.stdout:
            now, record = time.monotonic(), json.loads(line)
            if record["schema"] == "kat.task/1":
                began = now
                continue
            came.append(now - began)
            verdict = record.get("verdict")
            assert verdict["passed"] if verdict else record["exit"]["kind"] == "submitted", record
            if record["sample_index"] == 0:
                slow = now - began
    assert process.returncode == 0 and len(came) == ITEMS
    return {
        "at_6_s": sum(at < SLOW_S for at in came),
        "first_s": round(came[0], 2),
        "slow_s": round(slow, 2),
        "last_s": round(came[-1], 2),
    }


def measure(rounds: int, ways: list[list[str]], folder: Path) -> list[dict[str, Any]]:
    """Both commands in each way, in turns."""
    found = []
    for name, command in (("rollout", rollouts(folder)), ("verify", gradings(folder))):
        for number in range(rounds + 1):  # the first warms caches up
            for way in ways:
                taken = watch([*command, *way], folder / "cache")
                if number:
                    found.append({"case": name, "way": " ".join(way) or "as it is done", **taken})
                    print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/as_done.json")
    given = parser.parse_args()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as scratch:
        runs = measure(given.rounds, [[], ["--ordered"]], Path(scratch))
    result = {
        "benchmark": "as_done", "commit": commit.stdout.strip(), "python": platform.python_version(),
        "kernel": platform.release(), "cpus": os.cpu_count(), "load_before": round(load, 2),
        "items": ITEMS, "jobs": JOBS, "slow_s": SLOW_S, "others_s": OTHERS_S, "runs": runs,
    }  # fmt: skip
    given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
