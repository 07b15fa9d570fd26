"""The program that starts an agent inside a box, run for real: forwarder, files, ends, what stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from katcore.scaffold.command_agent import IN_BOX, RUNNER
from tests.support.ports import free_port

PORT = free_port()


class Echo(BaseHTTPRequestHandler):
    """Answers each POST with what it got, in two pieces."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:5])
        self.wfile.flush()
        time.sleep(0.01)
        self.wfile.write(body[5:])

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "g.sock"
    with Server(str(path), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def ran(tmp_path: Path, socket: Path, *lines: list[str], **more: Any) -> dict[str, Any]:
    home = tmp_path / "home"
    config = {
        "socket": str(socket), "port": PORT, "home": str(home), "cwd": str(tmp_path), "files": {}, "env": {},
        "lines": lines, **more,
    }  # fmt: skip
    argv = [sys.executable, "-I", "-S", str(IN_BOX / RUNNER)]
    done = subprocess.run(argv, input=json.dumps(config).encode(), capture_output=True, timeout=30)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
    said: dict[str, Any] = json.loads(done.stdout)
    return said


ASK = """
import http.client, os, sys
for size in (7, 300_000):
    c = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]))
    for body in (b"a" * size, b"b" * size):  # the same connection twice
        c.request("POST", "/v1", body)
        assert c.getresponse().read() == body
print("asked")
"""


def test_requests_go_through_byte_for_byte(tmp_path: Path, gateway: Path) -> None:
    said = ran(tmp_path, gateway, [sys.executable, "-c", ASK], env={"PORT": str(PORT)})
    assert said["code"] == 0 and said["stdout"] == "asked\n", said


def test_many_connections_at_once(tmp_path: Path, gateway: Path) -> None:
    many = f"""
import threading
def one(): exec({ASK!r}, {{}})
threads = [threading.Thread(target=one) for _ in range(20)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    said = ran(tmp_path, gateway, [sys.executable, "-c", many], env={"PORT": str(PORT)})
    assert said["stdout"].count("asked") == 20 and said["stderr"] == ""


def test_a_gateway_that_is_gone_is_a_closed_connection(tmp_path: Path) -> None:
    said = ran(tmp_path, tmp_path / "none.sock", [sys.executable, "-c", ASK], env={"PORT": str(PORT)})
    assert said["code"] == 1 and said["stdout"] == ""
    assert re.search("^(Connection|BrokenPipe|http.client.RemoteDisconnected)", said["stderr"], re.MULTILINE), said


def test_files_stand_in_the_home_before_the_agent_starts(tmp_path: Path, gateway: Path) -> None:
    text = '{"task": "a {port} to {url}"}'
    said = ran(tmp_path, gateway, ["cat", str(tmp_path / "home/.config/a/b.json")], files={".config/a/b.json": text})
    assert said["stdout"] == text, "as it is: nothing is filled in here"


def test_standard_input_is_closed(tmp_path: Path, gateway: Path) -> None:
    assert ran(tmp_path, gateway, ["cat"]) == {"code": 0, "stdout": "", "stderr": ""}


def test_the_first_line_that_fails_is_the_last(tmp_path: Path, gateway: Path) -> None:
    said = ran(tmp_path, gateway, ["sh", "-c", "echo no >&2; exit 4"], ["touch", str(tmp_path / "never")])
    assert said == {"code": 4, "stdout": "", "stderr": "no\n"} and not (tmp_path / "never").exists()


def test_a_program_that_is_not_there(tmp_path: Path, gateway: Path) -> None:
    said = ran(tmp_path, gateway, ["/no/such/agent"])
    assert said["code"] == 127 and "/no/such/agent" in said["stderr"]


def test_its_process_group_ends_with_it(tmp_path: Path, gateway: Path) -> None:
    said = ran(tmp_path, gateway, ["sh", "-c", "sleep 1000 & echo $!"])
    assert said["code"] == 0
    time.sleep(0.1)
    state = Path("/proc", said["stdout"].strip(), "stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_daemon_that_holds_the_pipes_does_not_hold_the_run(tmp_path: Path, gateway: Path) -> None:
    daemon = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000' &"
    said = ran(tmp_path, gateway, ["sh", "-c", f"{daemon} until [ -s {tmp_path}/pid ]; do sleep 0.1; done; echo said"])
    assert said == {"code": 0, "stdout": "said\n", "stderr": ""}
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_long_output_keeps_its_end(tmp_path: Path, gateway: Path) -> None:
    said = ran(tmp_path, gateway, ["sh", "-c", "seq 1 200000; echo the end"])
    assert said["stdout"].endswith("200000\nthe end\n") and len(said["stdout"]) <= 1 << 16


def test_a_signal_is_named_as_shells_do(tmp_path: Path, gateway: Path) -> None:
    assert ran(tmp_path, gateway, ["sh", "-c", "kill -9 $$"])["code"] == 137
