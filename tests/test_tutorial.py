"""Every line of docs/tutorial.md runs, in order, on a small project and with an endpoint that answers from a script."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"
ANSWERS = (
    ("bash", {"command": "cat calm.py; ls"}),
    ("bash", {"command": "sed -i 's/a - b/a + b/' calm.py; git diff"}),
    ("", "The sum was a difference; now it is a sum."),
)
"""What the model says, by the number of its turns so far."""


class Endpoint(BaseHTTPRequestHandler):
    """OpenAI Chat Completions from a script; it takes no other key than the tutorial's."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions" and self.headers["Authorization"] == "Bearer sesame"
        assert asked["model"] == "calm-1"
        turn = sum(message["role"] == "assistant" for message in asked["messages"])
        tool, what = ANSWERS[min(turn, len(ANSWERS) - 1)]
        message: dict[str, Any] = {"role": "assistant", "content": None if tool else what}
        if tool:
            call = {"id": f"call-{turn}", "type": "function", "function": {"name": tool, "arguments": json.dumps(what)}}
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        body = json.dumps(
            {"id": "x", "object": "chat.completion", "model": "calm-1", "choices": [choice], "usage": usage}
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: standard error is the commands'."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def git(folder: Path, *arguments: str) -> None:
    who = {f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", folder, *arguments], check=True, env={**os.environ, **who}, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of two commits: the second mends a function and tests it."""
    folder = tmp_path / "calm"
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "main", ".")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "calm"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\n'
        'build-backend = "setuptools.build_meta"\n[tool.setuptools]\npy-modules = ["calm"]\n'
    )
    (folder / "calm.py").write_text("def add(a, b):\n    return a - b\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "A first version")
    (folder / "calm.py").write_text("def add(a, b):\n    return a + b\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_calm.py").write_text("import calm\n\ndef test_add():\n    assert calm.add(1, 2) == 3\n")
    git(folder, "add", "--all")
    git(
        folder,
        "commit",
        "--quiet",
        "-m",
        "Callers are returned the sum of two numbers, as they expect, and no difference",
    )
    return folder


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S)


@pytest.mark.slow
def test_every_line_of_the_tutorial(tmp_path: Path, project: Path, endpoint: str, cache: Path) -> None:
    assert len(blocks()) == 8
    work = tmp_path / "work"
    work.mkdir()
    given = {"PROJECT": str(project), "ENDPOINT": endpoint, "MODEL": "calm-1", "MY_KEY": "sesame"}
    script = "set -euo pipefail\n" + "\n".join(blocks())
    done = subprocess.run(
        ["bash", "-c", script], cwd=work, env={**os.environ, **given}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "Callers are returned the sum" in done.stdout
    records = [json.loads(line) for line in (work / "graded.jsonl").read_text().splitlines()]
    made = [record for record in records if record["schema"] == "kat.trajectory/1"]
    assert [record["verdict"]["reward"] for record in made] == [1.0, 1.0], "both attempts mend it"
    for name, reward in (("oracle", 1.0), ("nop", 0.0)):
        lines = [json.loads(line) for line in (work / f"{name}.jsonl").read_text().splitlines()]
        assert [r["verdict"]["reward"] for r in lines if r["schema"] == "kat.trajectory/1"] == [reward]
    assert "<svg" in (work / "report.html").read_text() and "calm" in (work / "attempts.html").read_text()
    assert (work / "packs.jsonl").stat().st_size > 0
    assert len((work / "trained" / "metrics.jsonl").read_text().splitlines()) == 1
    learned = [json.loads(line) for line in (work / "learned.jsonl").read_text().splitlines()]
    assert [r["model"] for r in learned if r["schema"] == "kat.trajectory/1" and r["verdict"]] == ["trained"]
    files = [path for path in work.rglob("*") if path.is_file()]
    assert not [path for path in files if b"sesame" in path.read_bytes()], "the key is nowhere"
