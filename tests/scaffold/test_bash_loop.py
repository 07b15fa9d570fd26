"""bash-loop's program, run for real against a scripted gateway (here without a box: what it does, not where)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from katcore.engine.scripted import bash, script
from katcore.gateway.model import ScriptedModel
from katcore.gateway.server import Gateway
from katcore.gateway.session import Caps, Trace
from katcore.model.folder import load
from katcore.records import Exit, Task, TaskSource
from katcore.scaffold import Job
from katcore.scaffold.bash_loop import AGENT, IN_BOX, BashLoop
from tests.support.gateway_fakes import CAPS, opened

TASK = Task(
    instance_id="t", repo="r", base_commit="0", created_at="2020-01-01T00:00:00Z", source=TaskSource(kind="inline")
)


LIMITS = {"max_turns": 50, "command_timeout_s": 120.0, "output_chars": 6000, "context": 200_000, "completion": 4096}


def message(name: str, arguments: str) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


def ran(tmp_path: Path, *messages: dict[str, Any], caps: Caps = CAPS, **more: Any) -> tuple[Exit, Trace]:
    """The exit that the agent reports, and what the gateway recorded."""
    file = tmp_path / "script.jsonl"
    file.write_text(json.dumps({"messages": list(messages)}) + "\n")
    work = tmp_path / "work"
    work.mkdir()
    with Gateway(tmp_path / "journal") as gateway:
        model = ScriptedModel(script(f"scripted:{file}"), load(), TASK, 0)
        session = opened(gateway, model, caps=caps, rules=BashLoop().outcome)
        job = Job(
            "Do it.", session.key, "m", sys.executable, str(IN_BOX), str(session.socket), str(work), **LIMITS | more
        )
        launch = BashLoop().launch(job)
        done = subprocess.run(launch.argv, input=launch.stdin, capture_output=True, timeout=60, cwd=work)
        return BashLoop().exit(done.returncode, done.stdout, done.stderr), gateway.close_session(session)


def results(trace: Trace) -> list[str]:
    return [str((node.message or {}).get("content")) for node in trace.nodes if node.role == "tool"]


def outcomes(trace: Trace) -> list[str | None]:
    return [call.outcome for node in trace.nodes for call in node.tool_calls]


def test_runs_commands_until_an_answer_without_one(tmp_path: Path) -> None:
    exit_, trace = ran(tmp_path, bash("echo hi > f; pwd"), bash("cat f; exit 3"))
    assert exit_.kind == "submitted"
    assert results(trace) == [f"[exit 0]\n{tmp_path / 'work'}", "[exit 3]\nhi"]
    assert outcomes(trace) == ["ok", "nonzero_exit"]
    assert [node.role for node in trace.nodes] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    assert (trace.nodes[1].message or {})["content"] == "Do it."
    assert all(node.origin == "scripted" and node.engine_logprobs is None for node in trace.nodes if node.sampled)


def test_no_message_at_all_is_a_submission_of_nothing(tmp_path: Path) -> None:
    exit_, trace = ran(tmp_path)
    assert exit_.kind == "submitted" and results(trace) == [] and len(trace.calls) == 1


def test_mistakes_of_the_model_are_told_to_the_model(tmp_path: Path) -> None:
    exit_, trace = ran(
        tmp_path,
        message("bash", '{"cmd": "ls"}'),
        message("bash", "[1]"),
        message("edit", "{}"),
        message("bash", '{"command": 5}'),
    )
    assert exit_.kind == "submitted"
    assert outcomes(trace) == ["invalid_arguments", "invalid_arguments", "unknown_tool", "invalid_arguments"]
    assert all(text.startswith("[") for text in results(trace))


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    _, trace = ran(tmp_path, bash("echo before; sleep 60"), command_timeout_s=0.5)
    assert results(trace) == ["[timeout after 0.5 s]\nbefore"] and outcomes(trace) == ["timeout"]


def test_a_background_process_does_not_hold_the_loop(tmp_path: Path) -> None:
    _, trace = ran(tmp_path, bash("sleep 30 & echo started"))
    assert results(trace) == ["[exit 0]\nstarted"]


def test_long_output_keeps_its_head_and_tail(tmp_path: Path) -> None:
    _, trace = ran(tmp_path, bash("seq 1 100000"), output_chars=100)
    text = results(trace)[0]
    assert text.startswith("[exit 0]\n1\n2\n") and text.endswith("\n100000") and len(text) < 200
    assert "bytes left out]" in text


def test_output_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    _, trace = ran(tmp_path, bash("printf 'a\\377b\\0c'"))
    assert results(trace) == ["[exit 0]\na\ufffdb\0c"]


def test_a_command_longer_than_an_argument_may_be(tmp_path: Path) -> None:
    _, trace = ran(tmp_path, bash("cat > f <<'EOF'\n" + "x" * 300_000 + "\nEOF\nwc -c < f"))
    assert results(trace) == ["[exit 0]\n300001"]


def test_signals_are_named_as_shells_do(tmp_path: Path) -> None:
    _, trace = ran(tmp_path, bash("kill -9 $$"))
    assert results(trace) == ["[exit 137]"]


def test_the_turn_cap_ends_it(tmp_path: Path) -> None:
    exit_, trace = ran(tmp_path, *[bash("true")] * 5, max_turns=3)
    assert exit_.kind == "turns" and len(trace.calls) == 3


def test_several_calls_in_one_turn_are_run_in_order(tmp_path: Path) -> None:
    calls = bash("echo a >> f")["tool_calls"] + bash("echo b >> f; cat f")["tool_calls"]
    _, trace = ran(tmp_path, {"role": "assistant", "content": "two", "tool_calls": calls})
    assert results(trace) == ["[exit 0]", "[exit 0]\na\nb"]
    assert outcomes(trace) == ["ok", "ok"]


def test_the_gateways_stop_ends_the_agent_at_once(tmp_path: Path) -> None:
    exit_, trace = ran(tmp_path, *[bash("true")] * 5, caps=replace(CAPS, calls=2))
    assert exit_.kind == "agent_error" and trace.stop is not None and trace.stop.kind == "turns"


def test_an_answer_that_is_cut_off_is_asked_for_again(tmp_path: Path) -> None:
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": "done"}}]}).encode()
    whole = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    asked: list[bytes] = []
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            for answer in (whole[:-3], b"", whole[:20], whole):
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        job = Job("Do it.", "key", "m", sys.executable, str(IN_BOX), str(path), str(tmp_path), **LIMITS)
        launch = BashLoop().launch(job)
        done = subprocess.run(launch.argv, input=launch.stdin, capture_output=True, timeout=60)
        serving.join(10)
    assert json.loads(done.stdout) == {"exit": "submitted"}
    assert [request.partition(b"retry-count: ")[2][:1] for request in asked] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("stdout", [b"", b"{}", b"nonsense", b'{"exit": "submitted"', b'{"exit": "won"}'])
def test_an_agent_that_says_nothing_sensible_has_failed(stdout: bytes) -> None:
    assert BashLoop().exit(0, stdout, b"").kind == "agent_error"


def test_a_dead_agent_is_no_submission() -> None:
    assert BashLoop().exit(137, b'{"exit": "submitted"}', b"Killed").kind == "agent_error"


def test_the_program_is_alone(tmp_path: Path) -> None:
    """It runs with nothing but an interpreter's standard library beside it."""
    copy = tmp_path / AGENT
    copy.write_bytes((IN_BOX / AGENT).read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(copy)], input=b'{"max_turns": 0, "messages": []}', capture_output=True
    )
    assert json.loads(done.stdout)["exit"] == "turns"
