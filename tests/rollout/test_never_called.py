"""An agent that never asks its model: its row is broken, and says nothing of the model."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from katcore.records import Task, Trajectory, encode
from katcore.streams import read_records
from tests.support.rollout_tasks import task

ROWS: dict[str, dict[str, Any]] = {
    "nothing": {"program": ["true"], "args": ["{task}"]},
    "missing": {"program": ["/no/such/program"], "args": ["{task}"]},
    "wrong-path": {
        "program": ["{python}", "-c", "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], b'{}')"],
        "args": ["{url}/v9/chat/completions"],
    },
    "wrong-key": {
        "program": ["{python}", "-c", "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], b'{}')"],
        "args": ["{url}/v1/chat/completions"],
    },
}


def kat(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, env=dict(os.environ), check=False)


def attempts(path: Path) -> list[Trajectory]:
    records = (line.record for line in read_records([path], (Task, Trajectory)))
    return [record for record in records if isinstance(record, Trajectory)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_it_is_an_error_of_the_agent_masked_and_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "kat.toml").write_text("")
    tasks, out, graded = (tmp_path / each for each in ("tasks.jsonl", "out.jsonl", "graded.jsonl"))
    tasks.write_bytes(encode(task()) + b"\n")
    (tmp_path / "script.jsonl").write_text(json.dumps({"messages": []}) + "\n")
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in ROWS[name].items())
    (tmp_path / "mine.toml").write_text(f"[scaffold.{name}]\n{table}\n")
    done = kat(
        "kat-rollout", "--config", tmp_path / "mine.toml", tasks, "--scaffold", name,
        "--engine", f"scripted:{tmp_path / 'script.jsonl'}", "-o", out,
    )  # fmt: skip
    assert done.returncode == 0 and "1 attempts made no model call" in done.stderr, done.stderr
    assert "never called 1" in done.stderr
    (made,) = attempts(out)
    assert made.exit.kind == "agent_error" and made.exit.detail.startswith("the agent made no model call")
    verified = kat("kat-verify", out, "-o", graded)
    assert verified.returncode == 0, verified.stderr
    (seen,) = (
        line.record for line in read_records([graded], (Task, Trajectory)) if isinstance(line.record, Trajectory)
    )
    assert seen.verdict is not None and seen.verdict.masked and "no model call" in seen.verdict.reason
