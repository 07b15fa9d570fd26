"""verifiers' traces (TRACE_VERSION 1): a graph of messages with the tokens that each adds, much as a trajectory is.

In: a trajectory. Out: one trace for the whole tree: nodes, calls, rewards, timing. What a trace has no field for
(spans of calls, versions of weights, lineages) goes into `info.kat`. Its own loss weights, advantages and tensors are
kept by the origin.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from katcore.errors import RecordError
from katcore.records import Call, Exit, Json, Node, Scaffold, Trajectory
from katcore.trajectory.formats import View
from katcore.trajectory.formats.kept import (
    EPOCH,
    OWN,
    append,
    bare,
    head_of,
    own_of,
    rest_of,
    rows_of,
    seconds_of,
    time_of,
    trajectory_of,
)
from katcore.trajectory.paths import tools_of

NAME = "verifiers"
ENDPOINTS = {"openai-chat": "/chat/completions", "anthropic": "/messages", "openai-responses": "/responses"}
DIALECTS = {endpoint: dialect for dialect, endpoint in ENDPOINTS.items()}
REASONS = ("stop", "length", "tool_calls")
HELD = ("id", "parent", "role", "message", "token_ids", "sampled", "engine_logprobs", "routed_experts")


def to_row(view: View) -> Json:
    """The trace of a whole tree; its nodes stand depth-first, since a trace names them by their place."""
    attempt, tree = view.trajectory, view.tree
    place = {node: at for at, node in enumerate(tree.depth_first)}
    nodes = [tree.by_id[node] for node in tree.depth_first]
    own = head_of(view, NAME) | {"nodes": [_own(node) for node in nodes]}
    own["calls"] = [bare(call, "id", "node", "usage", "finish_reason") for call in attempt.calls]
    verdict = attempt.verdict
    rewards = {"reward": {"score": verdict.reward, "weight": 1.0}} if verdict is not None else {}
    parts = verdict.parts if verdict is not None else {}
    return {
        "version": 1,
        "id": attempt.id,
        "verifiers": {"version": "", "commit": None},
        "task": {"type": "Task", "data": {"name": attempt.task_id}, "key": attempt.task_id, "hash": None},
        "agent": {
            "config": {"model": attempt.model},
            "runtime": None,
            "name": attempt.scaffold.name,
            "trainable": True,
        },
        "tools": _tools([tree.by_id[root] for root in tree.children[None]]),
        "nodes": [_node(view, node, place) for node in nodes],
        "calls": [_call(call, place, attempt.model) for call in attempt.calls],
        "rewards": rewards,
        "metrics": {name: value for name, value in parts.items() if type(value) in (int, float)},
        "info": {OWN: own},
        "is_completed": True,
        "ok": attempt.exit.kind not in ("agent_error", "engine", "sandbox"),
        "stop_condition": attempt.exit.kind,
        "errors": [],
        "timing": _timing(attempt),
    }


def from_row(row: Json) -> Trajectory:
    """The trajectory of a trace; of a trace of others every message of the model is a call of its own."""
    own = own_of(row.get("info"))
    kept, told = rows_of(own.get("nodes"), "info.kat.nodes"), rows_of(own.get("calls"), "info.kat.calls")
    given = rows_of(row["nodes"], "nodes")
    nodes: list[Node] = []
    some = any(node.get("token_ids") for node in given)
    tools = [{"type": "function", "function": _without(tool, "strict")} for tool in rows_of(row.get("tools"), "tools")]
    for at, node in enumerate(given):
        extra = kept[at] if len(kept) == len(given) else {}
        _append(nodes, node, extra, tools, some)
    asked = rows_of(row.get("calls"), "calls")
    calls = [_called(at, call, told[at] if len(told) == len(asked) else {}) for at, call in enumerate(asked)]
    agent = row.get("agent") or {}
    rewards = {name: each for name, each in (row.get("rewards") or {}).items() if isinstance(each, dict)}
    verdict = None
    if rewards:
        reward = sum(float(each["score"]) * float(each.get("weight", 1.0)) for each in rewards.values())
        parts = {name: each["score"] for name, each in rewards.items()}
        verdict = {"reward": reward, "passed": reward >= 1, "parts": parts}
    task = row.get("task") or {}
    return trajectory_of(
        NAME,
        row,
        own,
        nodes,
        calls,
        id=row.get("id"),
        task_id=task.get("key") or (task.get("data") or {}).get("name") or task.get("hash"),
        scaffold=Scaffold(name=str(agent.get("name") or NAME)),
        model=(agent.get("config") or {}).get("model") or next((c["model"] for c in asked if c.get("model")), None),
        exit=_exit(row),
        verdict=verdict,
    )


# ------------------------------------------------------------------ out


def _own(node: Node) -> Json:
    role = {"role": node.role} if node.role == "developer" else {}
    return bare(node, *HELD) | {"origin": node.origin} | role | rest_of(node.message)


def _node(view: View, node: Node, place: dict[int, int]) -> Json:
    call = view.tree.calls.get(node.id)
    tokens = node.token_ids or []
    mask = [False] * len(tokens)
    for start, end in node.sampled:
        mask[start:end] = [True] * (end - start)
    return {
        "parent": None if node.parent is None else place[node.parent],
        "message": _message(node),
        "sampled": node.id in view.tree.completions,
        "timestamp": seconds_of(call.started_at) + call.seconds if call and call.started_at != EPOCH else 0.0,
        "token_ids": tokens,
        "mask": mask,
        "is_content": [],
        "logprobs": node.engine_logprobs or [],
    }


def _message(node: Node) -> Json:
    message = node.message
    if message is None:
        raise RecordError("messages", f"node {node.id} has tokens and no message")
    role = {"developer": "system"}.get(node.role, node.role)
    found: Json = {"role": role, "content": message.get("content")}
    if role == "tool":
        found["tool_call_id"] = message.get("tool_call_id") or ""
        found |= {"name": message["name"]} if message.get("name") else {}
    if role != "assistant":
        return found | {"content": message.get("content") or ""}
    if message.get("reasoning_content"):
        found["reasoning_content"] = message["reasoning_content"]
    if message.get("tool_calls"):
        found["tool_calls"] = [{"id": each.get("id") or "", **each["function"]} for each in message["tool_calls"]]
    return found


def _tools(roots: list[Node]) -> list[Json]:
    found = next((tools for root in roots if (tools := tools_of([root]))), [])
    plain = [tool.get("function") or tool for tool in found]
    return [{"description": "", "parameters": {}} | tool for tool in plain]


def _call(call: Call, place: dict[int, int], model: str) -> Json:
    cached = call.usage.get("cached_tokens")
    usage = None
    if "prompt_tokens" in call.usage:
        usage = {"prompt_tokens": call.usage["prompt_tokens"] - (cached or 0)}
        usage["completion_tokens"] = call.usage.get("completion_tokens", 0)
        usage |= {} if cached is None else {"cached_input_tokens": cached}
    start = 0.0 if call.started_at == EPOCH else seconds_of(call.started_at)
    return {
        "node": None if call.node is None else place[call.node],
        "model": model,
        "sampling": {"temperature": call.sampling.temperature, "top_p": call.sampling.top_p},
        "endpoint": ENDPOINTS.get(call.dialect),
        "finish_reason": call.finish_reason if call.finish_reason in REASONS else None,
        "usage": usage,
        "time": {"start": start, "end": start + call.seconds},
        "error": None if call.error is None else {"type": "ModelError", "message": call.error},
    }


def _timing(attempt: Trajectory) -> Json:
    """The trace's time spans, from the first call on: a trajectory knows each phase's length and its calls' starts."""
    times = [seconds_of(call.started_at) for call in attempt.calls if call.started_at != EPOCH]
    begun = min(times, default=attempt.timing.boot)
    marks = [begun - attempt.timing.boot, begun, begun + attempt.timing.agent]
    marks.append(marks[-1] + attempt.timing.grade)
    spans = [{"start": start, "end": end} for start, end in pairwise(marks)]
    return {"start": marks[0], "boot": spans[0], "agent": spans[1], "scoring": spans[2]}


# ------------------------------------------------------------------ in


def _append(nodes: list[Node], given: Json, extra: Json, tools: list[Json], some: bool) -> None:
    message = dict(given["message"]) | ({"role": extra["role"]} if "role" in extra else {})
    parent = given.get("parent")
    if message.get("tool_calls"):
        message["tool_calls"] = [
            {"id": each["id"], "type": "function", "function": _without(each, "id")} for each in message["tool_calls"]
        ]
    if parent is None and tools:
        message["tools"] = tools
    spans = _spans(given.get("mask") or [])
    known: Json = {"sampled": spans, "origin": "external" if not spans else "engine"}
    known["token_ids"] = (given.get("token_ids") or []) if some else None
    known["engine_logprobs"] = (given.get("logprobs") or None) if spans else None
    node = append(nodes, [], message, extra, **known)
    if parent is not None and not 0 <= parent < node.id:
        raise RecordError("convert", f"node {node.id} does not come after its parent {parent}")
    node.parent = parent


def _spans(mask: list[bool]) -> list[tuple[int, int]]:
    edges = [at for at, (old, new) in enumerate(pairwise([False, *mask, False])) if old != new]
    return list(zip(edges[::2], edges[1::2]))


def _called(at: int, call: Json, kept: Json) -> Call:
    from msgspec import convert

    usage, span = call.get("usage") or {}, call.get("time") or {}
    cached = usage.get("cached_input_tokens")
    counts: Json = {}
    if usage:
        counts = {"prompt_tokens": usage["prompt_tokens"] + (cached or 0)}
        counts["completion_tokens"] = usage["completion_tokens"]
        counts |= {} if cached is None else {"cached_tokens": cached}
    start, end = float(span.get("start") or 0.0), float(span.get("end") or 0.0)
    known: Json = {
        "started_at": time_of(start) if start else EPOCH,
        "seconds": max(0.0, end - start),
        "dialect": DIALECTS.get(str(call.get("endpoint")), "openai-chat"),
        "error": (call.get("error") or {}).get("message"),
        "sampling": {n: v for n, v in (call.get("sampling") or {}).items() if n in ("temperature", "top_p") and v},
    }
    plain = known | kept | {"usage": counts, "finish_reason": call.get("finish_reason") or ""}
    return convert(plain | {"id": at, "node": call.get("node")}, Call)


def _exit(row: Json) -> Exit:
    errors = rows_of(row.get("errors"), "errors")
    if errors:
        return Exit(kind="agent_error", detail=str(errors[-1].get("message") or ""))
    stop = str(row.get("stop_condition") or "")
    return Exit(kind={"max_turns": "turns", "max_total_tokens": "tokens"}.get(stop, "submitted"), detail=stop)


def _without(given: Json, *names: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}
