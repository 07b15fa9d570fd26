"""What was answered is on disk, whatever kills the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from katcore.gateway import journal
from katcore.gateway.server import Gateway
from katcore.model.folder import load
from tests.support import ROOT
from tests.support.gateway_fakes import FakeEngine, Socket, bash_call, opened, say, sse

SERVER = """
import sys, time
from pathlib import Path
from tests.support.gateway_fakes import FakeEngine, opened
from katcore.gateway.server import Gateway

engine = FakeEngine(lambda n: f"answer {n}")
gateway = Gateway(Path(sys.argv[1]))
session = opened(gateway, engine, "victim")
print(session.socket, session.key, flush=True)
time.sleep(60)
"""


def ask(socket: str, key: str, messages: list[dict[str, str]]) -> dict[str, str]:
    connection = Socket(socket)
    connection.request(
        "POST", "/v1/chat/completions", json.dumps({"messages": messages}), {"Authorization": f"Bearer {key}"}
    )
    message: dict[str, str] = json.loads(connection.getresponse().read())["choices"][0]["message"]
    return message


def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, env=env)
    assert server.stdout is not None
    socket, key = server.stdout.readline().decode().split()
    messages = [{"role": "user", "content": "go"}]
    answers = []
    for _ in range(3):
        answers.append(ask(socket, key, messages))
        messages = [*messages, answers[-1], {"role": "user", "content": "more"}]
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    found = journal.read_journal(tmp_path / "victim.jsonl")
    assert found.header["id"] == "victim" and [call.id for call in found.calls] == [0, 1, 2]
    assert [node.message for node in found.nodes if node.sampled] == answers
    assert [found.nodes[call.node or 0].message for call in found.calls] == answers


STREAMER = SERVER.replace("import FakeEngine", "import StreamingFake as FakeEngine").replace(
    "gateway = ", "engine.say, engine.step_s = (lambda n: 'word ' * 60), 0.05\ngateway = "
)


def test_kill_9_in_mid_stream_loses_nothing_that_went_out(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, "-c", STREAMER, str(tmp_path)], stdout=subprocess.PIPE, env=env)
    assert server.stdout is not None
    socket, key = server.stdout.readline().decode().split()
    connection = Socket(socket)
    body = {"messages": [{"role": "user", "content": "go"}], "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {key}"})
    response, got = connection.getresponse(), b""
    while got.count(b"word") < 4:
        got += response.read1(65536)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    events = [json.loads(event) for event in sse(got) if event.endswith("}")]
    forwarded = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    found = journal.read_journal(tmp_path / "victim.jsonl")
    assert found.calls == [] and [node.role for node in found.nodes] == ["user"]
    on_disk = load().decode(found.unfinished[0].token_ids)
    assert forwarded.startswith("word word") and on_disk.startswith(forwarded)
    assert len(found.unfinished[0].logprobs) == len(found.unfinished[0].token_ids)


def test_a_line_that_was_cut_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"id": "x"}\n{"call": {"id": 0, "sta')
    assert journal.read_journal(path) == journal.Journaled({"id": "x"})


def test_the_journal_equals_the_trace(gateway: Gateway) -> None:
    from katcore.scaffold.bash_loop import BashLoop

    engine = FakeEngine(lambda n: [bash_call("ls"), "Done."][n])
    session = opened(gateway, engine, rules=BashLoop().outcome)
    user = {"role": "user", "content": "go"}
    answer = say(session, [user])
    result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": "[exit 2]"}
    say(session, [user, answer, result])
    trace = gateway.close_session(session)
    found = journal.read_journal(session.journal.path)
    assert msgspec.to_builtins(found.nodes) == msgspec.to_builtins(trace.nodes)
    assert [call.delivered for call in trace.calls] == [True, True], "which is known only after it was written down"
    unsure = [msgspec.structs.replace(call, delivered=None) for call in trace.calls]
    assert msgspec.to_builtins(found.calls) == msgspec.to_builtins(unsure)
    assert found.nodes[1].tool_calls[0].outcome == "nonzero_exit"
    session.journal.close(remove=True)
    assert not session.journal.path.exists()
