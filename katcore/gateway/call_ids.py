"""The ids of calls that come back without one: some clients keep a call's name and arguments alone.

In: a request whose dialect gave such calls ids of its own, and the rollout's tree. Out: the request with the ids under
which the calls were sampled, so that it is found in the tree. Calls that nobody sampled keep the ids that they have.
"""

from __future__ import annotations

import msgspec

from katcore.gateway.dialects import MADE, Request
from katcore.gateway.messages import arguments_of, key_of
from katcore.gateway.tree import RolloutTree
from katcore.records import Json


def adopted(request: Request, tree: RolloutTree) -> Request:
    """The request with the ids of the tree, as far as its path goes there."""
    ids: dict[str, str] = {}
    found: list[Json] = []
    at: list[int | None] = [None]
    for message in request.messages:
        following = [node for each in at for node in tree.below(each, request.tools)]
        if any(call["id"].startswith(MADE) for call in message.get("tool_calls") or []):
            called = _called(message)
            same = [node.message for node in following if node.message and _called(node.message) == called]
            ids |= _pairs(message, same[-1]) if same else {}
        found.append(_renamed(message, ids))
        key = key_of(found[-1])
        at = [node.id for node in following if node.message and key_of(node.message) == key]
    return msgspec.structs.replace(request, messages=found)


def _called(message: Json) -> list[tuple[str, str]]:
    functions = [call.get("function") or {} for call in message.get("tool_calls") or []]
    return [(function.get("name") or "", arguments_of(function.get("arguments") or "")) for function in functions]


def _pairs(message: Json, sampled: Json) -> dict[str, str]:
    pairs = zip(message["tool_calls"], sampled["tool_calls"])
    return {call["id"]: str(known.get("id") or "") for call, known in pairs if call["id"].startswith(MADE)}


def _renamed(message: Json, ids: dict[str, str]) -> Json:
    if message.get("tool_calls"):
        calls = [{**call, "id": ids.get(call["id"], call["id"])} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    if message.get("tool_call_id") in ids:
        return {**message, "tool_call_id": ids[message["tool_call_id"]]}
    return message
