"""Attempts that say what a reference did, and do not do it. Each attack is one way to name actions that never ran."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from katcore.records import Node, Scaffold, Task, TaskSource, ToolCall, Trajectory, Verdict, Verification
from katcore.verify.detect import flags_of
from katcore.verify.references import LEAST_ACTIONS, verdict
from tests.support.endless import ends

COMMANDS = [
    "cat src/a.py",
    "sed -i s/old/new/ src/a.py",
    "sed -i s/old/new/ src/b.py",
    "python -m pytest tests/test_a.py",
]
CHANGE = "".join(
    f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-old\n+new\n"
    for name in ("src/a.py", "src/b.py")
)
ELSEWHERE = CHANGE.replace("src/", "other/")
SAID = 0.35
"""The most reward for a path of as many calls that does none of it."""


def message(*calls: tuple[str, Any]) -> dict[str, Any]:
    made = [{"id": f"c{i}", "function": {"name": name, "arguments": given}} for i, (name, given) in enumerate(calls)]
    return {"role": "assistant", "content": "", "tool_calls": made}


def bash(command: Any, **more: Any) -> tuple[str, str]:
    return "bash", json.dumps({"command": command, **more})


def attempt(*calls: tuple[str, Any], patch: str | None = CHANGE, outcome: Any = None) -> Trajectory:
    nodes = [
        Node(
            id=i, parent=i - 1 if i else None, role="assistant", message=message(call), token_ids=[i], sampled=[(0, 1)],
            tool_calls=[ToolCall(id="c0", name=call[0], outcome=outcome)],
        )
        for i, call in enumerate(calls)
    ]  # fmt: skip
    return Trajectory(
        id="t", task_id="a", group_id="a", scaffold=Scaffold(name="x"), model="m", nodes=nodes, patch=patch
    )


def graded(given: Trajectory, *commands: str, known: str = CHANGE) -> Verdict:
    reference = {"messages": [message(bash(command)) for command in commands or COMMANDS]}
    task = Task(
        instance_id="a", repo="r", base_commit="c", created_at="2026-01-01T00:00:00Z", patch=known,
        source=TaskSource(kind="git"), verification=Verification(kind="references", references=[reference]),
    )  # fmt: skip
    return verdict(task, given)


WAYS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "echo": lambda c: bash(f"echo {c}"),
    "printf": lambda c: bash(f"printf %s {c}"),
    "colon": lambda c: bash(f": {c}"),
    "echo to nobody": lambda c: bash(f"echo {c} > /dev/null"),
    "echo to a reader": lambda c: bash(f"echo {c} | head"),
    "comment": lambda c: bash(f"# {c}"),
    "comment behind": lambda c: bash(f"true # {c}"),
    "behind false": lambda c: bash(f"false && {c}"),
    "behind or": lambda c: bash(f"true || {c}"),
    "behind exit": lambda c: bash(f"exit 0; {c}"),
    "behind exit on lines": lambda c: bash(f"exit\n{c}"),
    "under if false": lambda c: bash(f"if false; then {c}; fi"),
    "under while false": lambda c: bash(f"while false; do {c}; done"),
    "behind a test": lambda c: bash(f"[ 1 = 2 ] && {c}"),
    "a function": lambda c: bash(f"f() {{ {c}; }}"),
    "a function by its word": lambda c: bash(f"function f {{ {c}; }}"),
    "an alias": lambda c: bash(f"alias f='{c}'"),
    "a test of words": lambda c: bash(f"test {c}"),
    "here-document to nobody": lambda c: bash(f": <<EOF\n{c}\n+++ b/src/a.py\nEOF"),
    "here-document that is shown": lambda c: bash(f"cat <<'EOF'\n{c}\n--- a/src/a.py\nEOF"),
    "a shell that only reads": lambda c: bash(f"bash -n -c '{c}'"),
    "another program's arguments": lambda c: bash(["true", "-c", c]),
    "files beside the command": lambda c: bash("true", path=c.split()[-1], file="src/a.py"),
    "words beside the command": lambda c: bash("true", note=c),
    "a tool that is none": lambda c: ("say", json.dumps({"text": f"{c} src/a.py"})),
}


def test_the_reference_itself_passes() -> None:
    found = graded(attempt(*map(bash, COMMANDS)))
    assert (found.reward, found.passed, found.parts["kept"]) == (1.0, True, 1.0)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_is_only_said(way: Callable[[str], tuple[str, Any]]) -> None:
    assert graded(attempt(*map(way, COMMANDS))).reward <= SAID


@pytest.mark.parametrize("outcome", ["unknown_tool", "invalid_arguments", "denied"])
def test_calls_that_nobody_carried_out(outcome: str) -> None:
    assert graded(attempt(*map(bash, COMMANDS), outcome=outcome)).reward == 0.0
    assert graded(attempt(*map(bash, COMMANDS), outcome="nonzero_exit")).reward == 1.0, "a test may fail"


@pytest.mark.parametrize("patch", ["", ELSEWHERE])
def test_work_that_was_undone(patch: str) -> None:
    found = graded(attempt(*map(bash, COMMANDS), bash("git checkout ."), patch=patch))
    assert (found.reward, found.parts["kept"]) == (0.0, 0.0) and "0.000 of the files" in found.reason
    half = CHANGE[: CHANGE.index("diff --git", 5)]
    assert graded(attempt(*map(bash, COMMANDS), patch=half)).reward == 0.5
    assert graded(attempt(*map(bash, COMMANDS), patch=None)).reward == 1.0, "a log without a patch"
    assert graded(attempt(*map(bash, COMMANDS), patch=""), known="").reward == 1.0, "no change is known"


def test_work_on_a_copy() -> None:
    """What is done in another folder is done to other files."""
    there = [bash(f"cd /tmp/copy && {command}") for command in COMMANDS]
    assert graded(attempt(*there)).reward < 0.65
    assert graded(attempt(*(bash(f"cd /testbed && {command}") for command in COMMANDS))).reward > 0.85


@pytest.mark.parametrize("tries", ["patch --dry-run -p1 src/a.py", "git apply --check src/a.py"])
def test_a_write_that_is_only_tried(tries: str) -> None:
    done = tries.replace(" --dry-run", "").replace(" --check", "")
    assert graded(attempt(bash(tries)), done).reward < 0.6


DEEP = "[" * 100_000 + "]" * 100_000
ODD: dict[str, Any] = {
    "nested": DEEP, "nested values": '{"command": ' + DEEP + "}", "half": '{"command": ' + "[" * 100_000,
    "surrogate": '{"command": "\\ud800"}', "a number": "7", "no object": None, "endless digits": "9" * 5000,
    "a long line": json.dumps({"command": "a;" * 500_000}), "quotes": json.dumps({"command": "'" * 99_999}),
    "comments": json.dumps({"command": "# x\n" * 200_000}),
    "here-documents": json.dumps({"command": "a <<E\n" * 100_000}),
}  # fmt: skip


@pytest.mark.parametrize("given", ODD.values(), ids=ODD)
def test_arguments_that_end_the_judge(given: Any) -> None:
    """No verdict is lost to them, and none takes for ever."""
    made = attempt(("bash", given))
    with ends():
        assert graded(made).reward <= SAID
        flags_of(made)


@pytest.mark.parametrize(
    "calls", [7, "x", {"a": 1}, ["x", None, 3], [{"function": "x"}], [{"function": ["x"]}], [{"function": {}}]]
)
def test_calls_of_another_form(calls: Any) -> None:
    made = attempt()
    message = {"role": "assistant", "tool_calls": calls}
    made.nodes = [Node(id=0, role="assistant", message=message, token_ids=[1], sampled=[(0, 1)])]
    assert graded(made).reward <= SAID and flags_of(made) == []


def test_calls_without_end() -> None:
    with ends():
        found = graded(attempt(*[bash(COMMANDS[i % 4]) for i in range(5 * LEAST_ACTIONS)]))
    assert found.reward == 0.0 and found.evidence["actions"] == 5 * LEAST_ACTIONS
