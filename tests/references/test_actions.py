"""What a tool call is brought to, over the ways in which scaffolds write the same thing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from katcore.errors import InputError
from katcore.records import Node, Scaffold, Task, TaskSource, Trajectory, Verification
from katcore.references import action_of, references_of, step_of, steps_of


def bash(command: Any, **more: Any) -> Any:
    return action_of("bash", json.dumps({"command": command, **more}))


@pytest.mark.parametrize(
    "command,kind,files",
    [
        ("cat src/a.py", "read", {"src/a.py"}),
        ("cd /testbed && sed -n '1,40p' ./src/a.py | head", "read", {"src/a.py"}),
        ("sed -i 's/a/b/' /testbed/src/a.py", "write", {"src/a.py"}),
        ("grep -rn 'def f' src/ | head -20", "search", {"src"}),
        ("ls -la", "list", set()),
        ("git grep -n foo", "search", set()),
        ("cat > src/new.py <<'EOF'\nimport os; os.remove('x/y.py')\nEOF", "write", {"src/new.py"}),
        ("echo hi >> notes.txt", "write", {"notes.txt"}),
        ("python -m pytest tests/test_a.py -x 2>&1 | tail -5", "run", {"tests/test_a.py"}),
        ("FOO=1 python run.py > /dev/null", "run", {"run.py"}),
        ("grep x a.py; rm b.py", "write", {"a.py", "b.py"}),
        ("curl https://example.org/a.html", "run", set()),
        ("python 'never closed", "run", set()),
        ("# look\nsed -i s/a/b/ a.py  # so\ncat 'b # c.py'", "write", {"a.py"}),
        ("cd src && cat a.py ../b.py", "read", {"src/a.py", "b.py"}),
        ("python - <<'EOF'\nimport os\nEOF\ncat a.py", "run", {"a.py"}),
        ("cat <<EOF | git apply\n--- a/x.py\n+++ b/x.py\nEOF", "write", {"x.py"}),
        ("[ -f a.py ] || exit 1; rm b.py", "write", {"b.py"}),
        ("if grep -q x a.py; then rm b.py; fi", "write", {"a.py", "b.py"}),
        ("for f in *.py; do cat x/$f; done; wc a.py", "run", {"a.py"}),
        ("echo 'never closed", "idle", set()),
        ("echo hi", "idle", set()),
        ("", "idle", set()),
    ],
)
def test_command_lines(command: str, kind: str, files: set[str]) -> None:
    action = bash(command)
    assert (action.tool, set(action.files)) == (kind, files)


def test_the_same_call_written_differently_is_the_same() -> None:
    assert bash("ls src", timeout=5, description="look") == bash("ls   src") == bash(["bash", "-lc", "ls src"])
    assert action_of("Shell", {"cmd": "ls src"}) == bash("ls src")
    read = {"path": "a.py", "explanation": "to see"}
    assert action_of("read_file", read) == action_of("read_file", {"path": "a.py", "timeout": 3})
    written = '{"path": "/testbed/a.py", "content": "x = 1"}'
    assert action_of("write_file", written) == action_of("Write", {"content": "x = 1", "path": "./a.py"})


def test_tools_of_several_scaffolds_are_of_one_kind() -> None:
    names = ["Read", "read_file", "view", "str_replace_based_edit_tool"]
    assert {action_of(name, {"command": "view", "path": "a.py"}).tool for name in names} == {"read"}
    assert action_of("str_replace_based_edit_tool", {"command": "create", "path": "a.py"}).tool == "write"
    assert action_of("WebFetch", {"url": "x"}).tool == "webfetch"


def test_files_of_a_patch() -> None:
    patch = "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x\n+y\n*** Add File: b.py\n+z\n*** End Patch"
    assert action_of("apply_patch", {"input": patch}).files == {"src/a.py", "b.py"}
    diff = "--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-x\n+y\n"
    assert action_of("apply_diff", {"diff": diff}).files == {"src/a.py"}


@pytest.mark.parametrize("arguments", ["{broken", "[1, 2]", None, 7])
def test_arguments_that_are_no_object(arguments: Any) -> None:
    action = action_of("bash", arguments)
    assert action.tool == "run" and not action.files


def assistant(*commands: str) -> dict[str, Any]:
    calls = [{"function": {"name": "bash", "arguments": json.dumps({"command": c})}} for c in commands]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def test_steps_are_the_agents_own_on_every_branch() -> None:
    nodes = [
        Node(id=0, role="user", message={"role": "user", "content": "fix it"}, token_ids=[1]),
        Node(id=1, parent=0, role="assistant", message=assistant("ls"), token_ids=[2], sampled=[(0, 1)]),
        Node(id=2, parent=0, role="assistant", message=assistant("rewritten by the client"), token_ids=[3]),
        Node(id=3, parent=2, role="assistant", message=assistant("cat a.py"), token_ids=[4], origin="reference"),
        Node(id=4, parent=2, role="assistant", message=assistant("cat b.py", "cat c.py"), token_ids=None),
    ]
    trajectory = Trajectory(id="t", task_id="a", group_id="a", scaffold=Scaffold(name="x"), model="m", nodes=nodes)
    assert [[sorted(a.files) for a in step.actions] for step in steps_of(trajectory)] == [
        [[]],
        [["a.py"]],
        [["b.py"], ["c.py"]],
    ]


def task(*references: dict[str, Any]) -> Task:
    return Task(
        instance_id="a",
        repo="r",
        base_commit="c",
        created_at="2026-01-01T00:00:00Z",
        source=TaskSource(kind="git"),
        verification=Verification(kind="references", references=list(references)),
    )


def test_references_are_trajectories_or_conversations() -> None:
    nodes = [Node(id=0, role="assistant", message=assistant("ls"), token_ids=[1], sampled=[(0, 1)])]
    trajectory = Trajectory(id="t", task_id="a", group_id="a", scaffold=Scaffold(name="x"), model="m", nodes=nodes)
    whole = msgspec.to_builtins(trajectory)
    talk = {"messages": [{"role": "user", "content": "fix"}, assistant("ls"), {"role": "assistant", "content": "done"}]}
    first, second = references_of(task(whole, talk))
    assert first == (step_of(assistant("ls")),)
    assert second[:1] == first and not second[1].actions
    assert references_of(task()) == ()


@pytest.mark.parametrize("bad", [{}, {"messages": []}, {"patch": "x"}, {"nodes": [{"id": "no"}]}])
def test_a_reference_without_actions_is_bad_input(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="task a"):
        references_of(task(bad))
