"""mini-swe-agent 1.1: `info`, `messages` in the OpenAI form with an `extra` each, `trajectory_format`, `instance_id`.

The last message has the role `exit` and says how the run ended; it is no node here. An answer's `extra.actions` are its
bash commands. Tokens, log-probs and calls go into `extra.kat`, the rest of a trajectory into `info.kat`.
"""

from __future__ import annotations

import json

from katcore.records import Call, Exit, Json, Node, Scaffold, Trajectory
from katcore.trajectory.formats import View
from katcore.trajectory.formats.kept import (
    EPOCH,
    OWN,
    append,
    head_of,
    node_own,
    own_of,
    rows_of,
    seconds_of,
    time_of,
    trajectory_of,
)
from katcore.trajectory.paths import messages_of, tools_of

NAME = "mini-swe-agent"
VERSION = "mini-swe-agent-1.1"
EXITS = {
    "submitted": "Submitted",
    "turns": "LimitsExceeded",
    "tokens": "LimitsExceeded",
    "time": "TimeExceeded",
    "context": "ContextWindowExceededError",
}
KINDS = {"Submitted": "submitted", "LimitsExceeded": "turns", "TimeExceeded": "time"} | {
    "ContextWindowExceededError": "context"
}


def to_row(view: View) -> Json:
    """The row of a path: its messages, and the one that ends the run."""
    attempt = view.trajectory
    status = EXITS.get(attempt.exit.kind, attempt.exit.kind)
    ended = {"exit_status": status, "submission": attempt.patch or ""}
    tools = tools_of(view.path)
    messages = [
        message | {"extra": _extra(view, node, message)} for node, message in zip(view.path, messages_of(view.path))
    ]
    said = sum(node.id in view.tree.completions for node in view.path)
    info: Json = {
        "model_stats": {"instance_cost": 0.0, "api_calls": said},
        "config": {"model": {"model_name": attempt.model}, "agent_type": attempt.scaffold.name},
        "mini_version": attempt.scaffold.version if attempt.scaffold.name == NAME else "",
        **ended,
        OWN: head_of(view, NAME) | ({"tools": tools} if tools else {}),
    }
    last = {"role": "exit", "content": attempt.exit.detail, "extra": ended}
    return {
        "info": info,
        "messages": [*messages, last],
        "trajectory_format": VERSION,
        "instance_id": attempt.task_id,
    }


def from_row(row: Json) -> Trajectory:
    """The trajectory of a run; its exit message becomes the trajectory's exit."""
    info = row["info"]
    own = own_of(info)
    nodes: list[Node] = []
    calls: list[Call] = []
    tools, detail = rows_of(own.get("tools"), "tools"), ""
    for given in rows_of(row["messages"], "messages"):
        extra = given.get("extra") or {}
        message = {name: value for name, value in given.items() if name != "extra"}
        if message.get("role") == "exit":
            detail = str(message.get("content") or "")
            continue
        kept = own_of(extra)
        known = _call(extra) if message.get("role") == "assistant" and not kept else {}
        message = message if nodes or not tools else message | {"tools": tools}
        append(nodes, calls, message, kept, origin="external", **known)
    status = str(info.get("exit_status") or "")
    model = ((info.get("config") or {}).get("model") or {}).get("model_name")
    return trajectory_of(
        NAME,
        row,
        {name: value for name, value in own.items() if name != "tools"},
        nodes,
        calls,
        task_id=row.get("instance_id"),
        scaffold=Scaffold(name=NAME, version=str(info.get("mini_version") or "")),
        model=model,
        patch=info.get("submission"),
        exit=Exit(kind=KINDS.get(status, "agent_error"), detail=detail or status),
    )


def _extra(view: View, node: Node, message: Json) -> Json:
    extra: Json = {}
    call = view.tree.calls.get(node.id)
    if message["role"] == "assistant":
        extra = {"actions": [*_actions(message)], "cost": 0.0}
    elif message["role"] == "tool":
        extra = {"raw_output": message.get("content") or ""}
    if call is not None and call.started_at != EPOCH:
        extra["timestamp"] = seconds_of(call.started_at) + call.seconds
    return extra | {OWN: node_own(view, node)}


def _actions(message: Json) -> list[Json]:
    """The commands of an answer's bash calls."""
    found = []
    for call in message.get("tool_calls") or []:
        try:
            given = json.loads(call["function"].get("arguments") or "{}")
        except ValueError:
            continue
        if isinstance(given, dict) and "command" in given:
            found.append({"command": given["command"], "tool_call_id": call.get("id")})
    return found


def _call(extra: Json) -> Json:
    """The model call of a foreign answer: when it ended, and its usage."""
    told = extra.get("response")
    told = told if isinstance(told, dict) else {}
    usage = told.get("usage") or {}
    counts = {name: usage[name] for name in ("prompt_tokens", "completion_tokens") if isinstance(usage.get(name), int)}
    reason = ((told.get("choices") or [{}])[0] or {}).get("finish_reason")
    when = time_of(extra.get("timestamp"))
    return {"call": {"started_at": when or EPOCH, "usage": counts, "finish_reason": reason or ""}}
