"""Servers that are started as processes: they are waited for, they end, and what went wrong is said."""

from __future__ import annotations

import json
import stat
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from katcore.engine import launcher
from katcore.engine.launcher import launch, launch_router
from katcore.errors import EngineError

SERVER = """
import http.server, json, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps([child.pid, sys.argv]).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answer).serve_forever()
"""


def python(folder: Path, body: str) -> Path:
    """Something that is called as python is, and runs `body` with the arguments."""
    (folder / "body.py").write_text(body)
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/body.py "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["server", "router"])
def test_a_server_is_waited_for_and_ends_with_all_its_processes(tmp_path: Path, kind: str) -> None:
    fake = python(tmp_path, SERVER)
    opened = launch("folder", fake, ["--more"]) if kind == "server" else launch_router(["http://w:1"], fake, ["--more"])
    with opened as server:
        with urllib.request.urlopen(server.url) as response:
            child, arguments = json.loads(response.read())
        assert alive(child) and alive(server.pid) and arguments[-1] == "--more"
        asked = ["--model-path", "folder"] if kind == "server" else ["--worker-urls", "http://w:1"]
        assert " ".join(asked) in " ".join(arguments)
    for _ in range(1000):  # a process that was killed takes until the system gives it a turn
        if not alive(server.pid) and not alive(child):
            return
        time.sleep(0.01)
    raise AssertionError("it is still alive after 10 s")


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    fake = python(tmp_path, "import sys; print('no such model'); sys.exit(3)")
    with pytest.raises(EngineError, match=r"ended with 3: no such model"):
        launch("folder", fake)


@pytest.mark.slow
def test_a_server_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "_GRACE_S", 0.5)
    fake = python(
        tmp_path,
        f"import os, signal, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('loading', flush=True); time.sleep(600)",
    )
    with pytest.raises(EngineError, match="did not answer within 3 s: loading"):
        launch("folder", fake, patience=3.0)
    assert not alive(int((tmp_path / "pid").read_text()))
