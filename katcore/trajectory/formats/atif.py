"""ATIF 1.7, Harbor's format of trajectories (package `atif`): one step a message, results inside the step that called.

In: a path of a trajectory. Out: steps of `system`, `user` and `agent`; sampled tokens and their log-probs in `metrics`,
the rest of a node in `extra.kat`. Sub-agents are embedded in `subagent_trajectories`. `metrics.prompt_token_ids` is
not written, since every step would repeat the whole prompt; it is read, and gives exact tokens where each prompt
extends the one before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from mimetypes import guess_type
from typing import Any

from katcore.records import Call, Json, Node, Scaffold, Trajectory
from katcore.trajectory.formats import View
from katcore.trajectory.formats.kept import (
    EPOCH,
    OWN,
    append,
    head_of,
    node_own,
    own_of,
    rest_of,
    rows_of,
    time_of,
    trajectory_of,
)
from katcore.trajectory.paths import messages_of, tools_of

NAME = "atif"
VERSION = "ATIF-v1.7"
RAW = "__raw_arguments__"
"""The only key of `arguments` whose call had something else than a JSON object; its value is the text."""
SOURCES = {"system": "system", "developer": "system", "user": "user", "assistant": "agent"}
ROLES = ("system", "user", "assistant")
"""Roles that a step's `source` can express."""


def to_row(view: View) -> Json:
    """The trajectory of a path, with the sub-agents that a tree has beside it."""
    attempt = view.trajectory
    agent: Json = {"name": attempt.scaffold.name, "version": attempt.scaffold.version, "model_name": attempt.model}
    if tools := tools_of(view.path):
        agent["tool_definitions"] = tools
    steps = _steps(view)
    row: Json = {"schema_version": VERSION, "session_id": attempt.id, "trajectory_id": attempt.id, "agent": agent}
    row |= {"steps": steps, "final_metrics": _final(steps), "extra": {OWN: head_of(view, NAME)}}
    if not view.whole:
        row["trajectory_id"] = row["extra"][OWN]["id"]
    elif embedded := [_embedded(view, path) for path in _subagents(view)]:
        row["subagent_trajectories"] = embedded
    return row


def from_row(row: Json) -> Trajectory:
    """A path for the steps, and one for each embedded sub-agent."""
    nodes: list[Node] = []
    calls: list[Call] = []
    _read(row, nodes, calls)
    for number, inner in enumerate(rows_of(row.get("subagent_trajectories"), "subagent_trajectories"), 1):
        start = len(nodes)
        below: list[Node] = []
        asked: list[Call] = []
        _read(inner, below, asked)
        for node in below:
            node.id += start
            node.parent = None if node.parent is None else node.parent + start
            node.lineage = f"subagent-{number}" if node.lineage == "main" else node.lineage
            node.boundary = "subagent" if node.parent is None else node.boundary
        for call in asked:
            call.id += len(calls)
            call.node = None if call.node is None else call.node + start
        nodes += below
        calls += asked
    agent = row["agent"]
    return trajectory_of(
        NAME,
        row,
        own_of(row.get("extra")),
        nodes,
        calls,
        id=row.get("trajectory_id") or row.get("session_id"),
        scaffold=Scaffold(name=str(agent["name"]), version=str(agent["version"])),
        model=agent.get("model_name"),
    )


# ------------------------------------------------------------------ out


def _subagents(view: View) -> Iterator[list[Node]]:
    taken = {node.id for node in view.path}
    for path in view.tree.all:
        if path[0].boundary == "subagent" and path[0].id not in taken:
            taken |= {node.id for node in path}
            yield path


def _embedded(view: View, path: list[Node]) -> Json:
    attempt = view.trajectory
    inner = View(view.tree, path, whole=False)
    agent: Json = {"name": attempt.scaffold.name, "version": attempt.scaffold.version, "model_name": attempt.model}
    if tools := tools_of(path):
        agent["tool_definitions"] = tools
    head = {"schema_version": VERSION, "session_id": attempt.id, "trajectory_id": f"{attempt.id}/{path[-1].id}"}
    return {**head, "agent": agent, "steps": _steps(inner)}


def _steps(view: View) -> list[Json]:
    steps: list[Json] = []
    for node, message in zip(view.path, messages_of(view.path)):
        own = node_own(view, node) | rest_of(message)
        if message["role"] == "tool":
            _observe(steps, message, own)
            continue
        step: Json = {"step_id": len(steps) + 1, "source": SOURCES.get(message["role"], "user")}
        step["message"] = _content(message.get("content"))
        if message["role"] == "assistant":
            step |= _answer(view, node, message, own)
        if message["role"] not in ROLES:
            own = own | {"role": message["role"]}
        steps.append(step | ({"extra": {OWN: own}} if own else {}))
    return steps


def _answer(view: View, node: Node, message: Json, own: Json) -> Json:
    """The fields that only an agent's step has; what its metrics hold is taken out of `own`."""
    found: Json = {}
    call = view.tree.calls.get(node.id)
    if call is not None and call.started_at != EPOCH:
        found["timestamp"] = call.started_at
    if message.get("reasoning_content"):
        found["reasoning_content"] = message["reasoning_content"]
    if message.get("tool_calls"):
        found["tool_calls"] = [_tool_call(each) for each in message["tool_calls"]]
    metrics: Json = {}
    if call is not None:
        names = ("prompt_tokens", "completion_tokens", "cached_tokens")
        metrics |= {name: call.usage[name] for name in names if name in call.usage}
    if node.token_ids is not None and node.sampled:
        metrics["completion_token_ids"] = [*chain.from_iterable(node.token_ids[a:b] for a, b in node.sampled)]
    if node.engine_logprobs is not None:
        metrics["logprobs"] = own.pop("engine_logprobs")
    return found | ({"metrics": metrics} if metrics else {})


def _tool_call(call: Json) -> Json:
    function = call["function"]
    arguments = function.get("arguments")
    try:
        value = json.loads(arguments or "{}") if isinstance(arguments, str) or not arguments else arguments
    except ValueError:
        value = None
    plain = isinstance(value, dict) and json.dumps(value) == arguments
    extra = {} if plain or not isinstance(value, dict) else {"extra": {OWN: {"arguments": arguments}}}
    value = value if isinstance(value, dict) else {RAW: arguments}
    return {"tool_call_id": call.get("id") or "", "function_name": function["name"], "arguments": value, **extra}


def _observe(steps: list[Json], message: Json, own: Json) -> None:
    """Add a tool's result to the step whose call it answers; one that answers none becomes a step of the system."""
    called = message.get("tool_call_id") or None
    last = steps[-1] if steps and steps[-1]["source"] == "agent" else None
    known = {call["tool_call_id"] for call in last.get("tool_calls", [])} if last else set()
    result: Json = {"content": _content(message.get("content"))}
    if called is not None and called in known:
        result = {"source_call_id": called} | result
    elif called is not None:
        own, last = own | {"tool_call_id": called}, None
    if name := message.get("name"):
        own = own | {"name": name}
    result |= {"extra": {OWN: own}} if own else {}
    if last is None:
        last = {"step_id": len(steps) + 1, "source": "system", "message": ""}
        steps.append(last)
    last.setdefault("observation", {"results": []})["results"].append(result)


def _content(content: Any) -> Any:
    """Content as text, or as parts with images by their address."""
    if not isinstance(content, list):
        return content or ""
    return [
        {"type": "image", "source": {"media_type": _media_type(url := part["image_url"]["url"]), "path": url}}
        if part.get("type") == "image_url"
        else {"type": "text", "text": str(part.get("text") or "")}
        for part in content
    ]


def _media_type(url: str) -> str:
    """The media type of an image by its address; ATIF knows four."""
    found = url[5:].partition(";")[0] if url.startswith("data:") else guess_type(url)[0]
    return found if found in ("image/jpeg", "image/png", "image/gif", "image/webp") else "image/png"


def _final(steps: list[Json]) -> Json:
    told = [step["metrics"] for step in steps if "metrics" in step]
    names = ("prompt_tokens", "completion_tokens", "cached_tokens")
    sums = {f"total_{name}": sum(each.get(name, 0) for each in told) for name in names if any(name in m for m in told)}
    return sums | {"total_steps": len(steps)}


# ------------------------------------------------------------------ in


def _read(row: Json, nodes: list[Node], calls: list[Call]) -> None:
    tools = rows_of(row["agent"].get("tool_definitions"), "tool_definitions")
    seen: list[int] = []
    exact = True
    for step in rows_of(row["steps"], "steps"):
        own = own_of(step.get("extra"))
        results = rows_of((step.get("observation") or {}).get("results"), "observation.results")
        if step["source"] != "system" or step["message"] or not results:
            message = _message(step, own)
            message = message if nodes or not tools else message | {"tools": tools}
            metrics = step.get("metrics") or {}
            known: Json = {"origin": "external"}
            known |= {"call": _call(step, metrics)} if step["source"] == "agent" and not own else {}
            node = append(nodes, calls, message, _with_logprobs(own, metrics), **known)
            if "token_ids" not in own and step["source"] == "agent":
                exact = exact and _tokens(node, metrics, seen)
        for result in results:
            _result(result, nodes, calls)
    _settle(nodes, exact and bool(seen))


def _message(step: Json, own: Json) -> Json:
    role = own.get("role") or {"agent": "assistant"}.get(step["source"], step["source"])
    called = [_function(call) for call in rows_of(step.get("tool_calls"), "tool_calls")]
    content = _parts(step["message"])
    message: Json = {"role": role, "content": (content or None) if called else content}
    if step.get("reasoning_content"):
        message["reasoning_content"] = step["reasoning_content"]
    return message | ({"tool_calls": called} if called else {})


def _function(call: Json) -> Json:
    given = call["arguments"]
    raw = isinstance(given, dict) and list(given) == [RAW]
    text = given[RAW] if raw else own_of(call.get("extra")).get("arguments") or json.dumps(given)
    return {"id": call["tool_call_id"], "type": "function", "function": {"name": call["function_name"]} | {
        "arguments": text}}  # fmt: skip


def _result(result: Json, nodes: list[Node], calls: list[Call]) -> None:
    own = own_of(result.get("extra"))
    called = result.get("source_call_id") or own.get("tool_call_id") or ""
    message = {"role": "tool", "tool_call_id": called, "content": _parts(result.get("content") or "")}
    message |= {"name": own["name"]} if "name" in own else {}
    kept = {name: value for name, value in own.items() if name not in ("name", "tool_call_id")}
    append(nodes, calls, message, kept, origin="external")


def _parts(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [
        {"type": "image_url", "image_url": {"url": part["source"]["path"]}} if part["type"] == "image" else part
        for part in content
    ]


def _call(step: Json, metrics: Json) -> Json:
    names = ("prompt_tokens", "completion_tokens", "cached_tokens")
    usage = {name: metrics[name] for name in names if metrics.get(name) is not None}
    return {"started_at": time_of(step.get("timestamp")) or EPOCH, "usage": usage}


def _with_logprobs(own: Json, metrics: Json) -> Json:
    if "token_ids" in own and metrics.get("logprobs") is not None:
        return own | {"engine_logprobs": metrics["logprobs"]}
    return own


def _tokens(node: Node, metrics: Json, seen: list[int]) -> bool:
    """Give a foreign answer the tokens that its prompt adds to what was `seen`, and its own; False: it adds nothing."""
    prompt, said = metrics.get("prompt_token_ids"), metrics.get("completion_token_ids")
    if prompt is None or said is None or prompt[: len(seen)] != seen or len(prompt) == len(seen):
        return False
    opening = prompt[len(seen) :]
    node.token_ids = opening + said
    node.sampled = [(len(opening), len(opening) + len(said))] if said else []
    logprobs = metrics.get("logprobs")
    node.engine_logprobs = logprobs if logprobs is not None and len(logprobs) == len(said) else None
    seen += node.token_ids
    return True


def _settle(nodes: list[Node], exact: bool) -> None:
    """Give foreign messages without tokens an empty list, as the next answer holds them; remove all if not `exact`."""
    if any(node.token_ids is not None for node in nodes):
        foreign = [node for node in nodes if node.origin == "external"]
        for node in foreign:
            if not exact:
                node.token_ids, node.sampled, node.engine_logprobs = None, [], None
            elif node.token_ids is None:
                node.token_ids = []
