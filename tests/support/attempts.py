"""Hand-made attempts of an agent, with the branches that agents really make."""

from __future__ import annotations

from typing import Any

from katcore.records import Call, Exit, Json, Node, Scaffold, Timing, ToolCall, Trajectory, Verdict

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "bash",
            "description": "Run a command.",
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
        },
    }
]


def said(role: str, content: str | None, **fields: Any) -> Json:
    """A message."""
    return {"role": role, "content": content, **fields}


def calls(*commands: str, text: str | None = None, first: int = 1, **fields: Any) -> Json:
    """An answer that runs these commands; their ids count from `first`."""
    made = [
        {"id": f"c{n}", "type": "function", "function": {"name": "bash", "arguments": f'{{"command":"{command}"}}'}}
        for n, command in enumerate(commands, first)
    ]
    return said("assistant", text, tool_calls=made, **fields)


def result(call: str, content: str) -> Json:
    """What a tool gave."""
    return said("tool", content, tool_call_id=call)


class Grower:
    """Builds a tree: five tokens a message, those of an answer sampled but for the first, and a call for each."""

    def __init__(self, tokens: bool = True) -> None:
        self.nodes: list[Node] = []
        self.calls: list[Call] = []
        self._tokens = tokens

    def add(self, parent: int | None, message: Json, **fields: Any) -> int:
        at = len(self.nodes)
        answer = message["role"] == "assistant"
        node = Node(id=at, parent=parent, role=message["role"], message=message, **fields)
        if self._tokens:
            node.token_ids = [at * 10 + n for n in range(5)]
            node.sampled = [(1, 5)] if answer else []
            node.engine_logprobs = [-0.125 * n for n in range(1, 5)] if answer else None
            node.versions = [(1, "step-1")] if answer else []
        node.tool_calls = [ToolCall(id=call["id"], name="bash", span=(2, 4)) for call in message.get("tool_calls", [])]
        self.nodes.append(node)
        if answer:
            self._call(node)
        return at

    def _call(self, node: Node) -> None:
        at = len(self.calls)
        node.turn = at
        prompt = {"prompt_tokens": 5 * node.id, "completion_tokens": 4}
        reason = "tool_calls" if node.tool_calls else "stop"
        self.calls.append(
            Call(
                id=at,
                node=node.id,
                started_at=f"2026-01-02T{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}Z",
                seconds=0.5,
                usage=prompt,
                finish_reason=reason,
                engine="scripted:x",
            )
        )


def attempt(grown: Grower, **fields: Any) -> Trajectory:
    """A graded attempt with this tree."""
    known: Json = {
        "id": "t1",
        "task_id": "repo__1",
        "group_id": "g1",
        "group_size": 2,
        "sample_index": 1,
        "scaffold": Scaffold(name="bash-loop", version="1"),
        "model": "policy",
        "tokenizer": "abc",
        "domain": "swe",
        "patch": "--- a\n+++ b\n",
        "exit": Exit(kind="submitted", detail="done"),
        "timing": Timing(boot=1, agent=2),
        "verdict": Verdict(reward=1.0, passed=True, parts={"tests": 1.0}),
    }
    return Trajectory(nodes=grown.nodes, calls=grown.calls, **(known | fields))


def linear(tokens: bool = True, **fields: Any) -> Trajectory:
    """system, user, two parallel calls with their results, an answer, a question, another answer."""
    grown = Grower(tokens)
    at = grown.add(None, said("system", "You fix things.", tools=TOOLS))
    at = grown.add(at, said("user", "Fix it."))
    at = grown.add(at, calls("ls", "pwd", text="Let me look.", reasoning_content="Hm."))
    at = grown.add(at, result("c1", "a.py"))
    at = grown.add(at, result("c2", "/testbed"))
    at = grown.add(at, calls("sed -i s/a/b/ a.py", first=3))
    at = grown.add(at, result("c3", ""))
    grown.add(at, said("assistant", "Done."))
    return attempt(grown, **fields)


def branched(**fields: Any) -> Trajectory:
    """A title call, a sub-agent, an answer of the main agent that parts in two, and a compaction."""
    grown = Grower()
    title = grown.add(None, said("user", "Name this."), lineage="title-1", boundary="title")
    grown.add(title, said("assistant", "Fixing."), lineage="title-1")
    root = grown.add(None, said("user", "Fix it.", tools=TOOLS))
    first = grown.add(root, calls("ls"))
    seen = grown.add(first, result("c1", "a.py"))
    sub = grown.add(None, said("user", "Search.", tools=TOOLS), lineage="subagent-2", boundary="subagent")
    grown.add(sub, said("assistant", "Found it."), lineage="subagent-2")
    grown.add(seen, said("assistant", "One way."))
    other = grown.add(seen, said("user", "Another way?"), lineage="branch-3")
    grown.add(other, said("assistant", "Another."), lineage="branch-3")
    short = grown.add(
        None, said("user", "In short: fix it.", tools=TOOLS), lineage="compaction-4", boundary="compaction"
    )
    grown.add(short, said("assistant", "Fixed."), lineage="compaction-4")
    return attempt(grown, **fields)
