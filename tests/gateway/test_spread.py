"""kat-rollout gateway with several processes: one address, each session in one of them, whatever connection it uses."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway_command import COMMAND, converse, script, start

Access = list[dict[str, Any]]
Running = tuple[subprocess.Popen[bytes], Access]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    process, access = start(
        tmp_path, "--sessions", "5", "--processes", "2", "--journals", str(tmp_path / "journals"),
        "--metrics", "127.0.0.1:0",
    )  # fmt: skip
    yield process, access
    process.kill()
    process.communicate()


def children(process: subprocess.Popen[bytes], word: bytes) -> list[int]:
    """The processes that this one has started, whichever of its threads did, with a word in their command lines."""
    listed = [
        pid for task in Path(f"/proc/{process.pid}/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    return [int(pid) for pid in listed if word in Path(f"/proc/{pid}/cmdline").read_bytes()]


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """The gateway processes."""
    return children(process, b"spawn_main")


def connected(access: dict[str, Any]) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(access["openai_base_url"].removeprefix("http://").removesuffix("/v1"))


def asked(connection: http.client.HTTPConnection, headers: dict[str, str], **more: Any) -> tuple[int, bytes]:
    body = json.dumps({"messages": [{"role": "user", "content": "Fix it."}], **more})
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def ended(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_each_session_is_whole_and_they_come_in_order(running: Running, tmp_path: Path) -> None:
    process, access = running
    assert len(workers(process)) == 2 and [one["name"] for one in access] == [f"session-{n}" for n in range(5)]
    for each in access[::-1]:
        converse(each)
    made = ended(process)
    assert [record["task_id"] for record in made] == [f"session-{n}" for n in range(5)]
    assert [len(record["calls"]) for record in made] == [2] * 5
    assert list((tmp_path / "journals").iterdir()) == []


def test_one_connection_may_carry_keys_of_both_processes(running: Running) -> None:
    process, access = running
    connection = connected(access[0])
    for each in access[:3]:
        status, answer = asked(connection, {"x-api-key": each["key"]})
        assert status == 200 and b"I look." in answer
    status, answer = asked(connection, {"Authorization": f"Bearer {access[3]['key']}"}, stream=True)
    assert status == 200 and answer.endswith(b"data: [DONE]\n\n")
    made = ended(process)
    assert [(record["task_id"], len(record["calls"])) for record in made] == [(f"session-{n}", 1) for n in range(4)]


def test_a_key_of_nobodys_is_told_so(running: Running) -> None:
    _, access = running
    for headers in ({}, {"x-api-key": "no"}, {"x-pad": "x" * 7000, "Authorization": "Bearer no"}):
        status, answer = asked(connected(access[0]), headers)
        assert status == 401 and json.loads(answer)["error"]["code"] == "invalid_api_key"


def test_a_head_that_comes_in_pieces_finds_its_process(running: Running) -> None:
    _, access = running
    host, port = access[1]["openai_base_url"].removeprefix("http://").removesuffix("/v1").split(":")
    body = b'{"messages": [{"role": "user", "content": "Fix it."}]}'
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: {access[1]['key']}\r\nContent-Length: {len(body)}"
    )
    with socket.create_connection((host, int(port)), timeout=20) as joined, socket.create_connection((host, int(port))):
        for part in (head[:20], head[20:75], head[75:] + "\r\n\r\n"):
            joined.sendall(part.encode())
            time.sleep(0.05)
        joined.sendall(body)
        assert b"200 OK" in joined.recv(65536)


def test_a_process_that_is_gone_ends_the_command_and_its_journals_tell(running: Running, tmp_path: Path) -> None:
    process, access = running
    for each in access:
        converse(each)
    os.kill(workers(process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and b"a gateway process has ended" in err and b"Traceback" not in err
    recover = [*COMMAND, "gateway", "--recover", "--journals", str(tmp_path / "journals")]
    done = subprocess.run(recover, capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == 5


@pytest.mark.parametrize("address", ["--listen", "--metrics"])
def test_an_address_that_is_taken_is_one_line(tmp_path: Path, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = ["--sessions", "2", "--processes", "2", address, f"127.0.0.1:{taken.getsockname()[1]}"]
        arguments = ["gateway", "--engine", f"scripted:{script(tmp_path)}", *wanted]
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == 1 and "address already in use" in done.stderr.lower() and "recover" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_stays_when_the_command_is_killed(running: Running) -> None:
    process, _ = running
    left = workers(process)
    process.kill()
    process.wait()
    ends = time.monotonic() + 20
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left):
        assert time.monotonic() < ends, left
        time.sleep(0.05)


def test_an_embedded_engine_is_one_process_for_all(tmp_path: Path) -> None:
    from katcore.train.init import init
    from katcore.train.options import InitOptions

    folder = tmp_path / "M"
    init(folder, InitOptions(layers=1, hidden=32, heads=2, kv_heads=1))
    few = ("--sessions", "2", "--processes", "2", "--max-completion", "3")
    process, access = start(tmp_path, *few, engine=f"embedded:{folder}")
    try:
        for each in access:
            assert asked(connected(each), {"x-api-key": each["key"]})[0] == 200
        assert len(children(process, b"embedded.server")) == 1 and len(workers(process)) == 2
        made = ended(process)
    finally:
        process.kill()
        process.communicate()
    assert all(record["model"] == "M" and record["nodes"][-1]["engine_logprobs"] for record in made) and len(made) == 2
