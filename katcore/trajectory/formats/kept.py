"""What is KAT's own about a trajectory, for the free field that a format has.

In: records. Out: small JSON objects under the one name `kat`, without fields that have their default; and back. A row
that has none was made by others: ids are then made of its content.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from katcore.errors import RecordError
from katcore.records import Call, Json, Node, Scaffold, Trajectory, content_id
from katcore.trajectory.formats import View
from katcore.trajectory.origin import FIELD

OWN = "kat"
"""The key in a format's free field under which KAT's own fields stand."""
EPOCH = "1970-01-01T00:00:00Z"
"""The start time of calls whose row tells none."""


def bare(record: Struct, *without: str) -> Json:
    """The fields of a record that differ from their defaults, as JSON."""
    found: Json = {}
    for each in msgspec.structs.fields(record):
        value = getattr(record, each.name)
        default = each.default_factory() if each.default_factory is not msgspec.NODEFAULT else each.default
        if each.name not in without and value != default:
            found[each.name] = msgspec.to_builtins(value)
    return found


def head_of(view: View, name: str) -> Json:
    """The fields of a trajectory other than nodes and calls, without what came from this very format."""
    head = bare(view.trajectory, "nodes", "calls")
    artifacts = head.pop("artifacts", {})
    if isinstance(origin := artifacts.get(FIELD), dict) and origin.get("format") == name:
        artifacts = {member: value for member, value in artifacts.items() if member != FIELD}
    if not view.whole:
        head["id"] = f"{head['id']}/{view.path[-1].id}"
    return head | ({"artifacts": artifacts} if artifacts else {})


def own_of(holder: Any) -> Json:
    """The member `kat` of a free field, {} without one."""
    found = holder.get(OWN) if isinstance(holder, dict) else None
    return found if isinstance(found, dict) else {}


def trajectory_of(name: str, row: Json, own: Json, nodes: list[Node], calls: list[Call], **known: Any) -> Trajectory:
    """A trajectory of these nodes: of KAT's own fields where the row has them, else of what the row says (`known`)."""
    known = {} if "id" in own else known  # what KAT leaves out has its default
    task = str(own.get("task_id") or known.get("task_id") or "")
    made: Json = {
        "id": content_id(name, msgspec.json.encode(row, order="sorted").decode()),
        "task_id": task,
        "group_id": task,
        "scaffold": Scaffold(name=name),
        "model": "",
    }
    told = made | {field: value for field, value in known.items() if value is not None} | own
    told = {field: value for field, value in told.items() if field not in ("schema", "nodes", "calls")}
    plain = {"schema": "kat.trajectory/1"} | msgspec.to_builtins(told)
    found = msgspec.convert(plain, Trajectory)
    return msgspec.structs.replace(found, nodes=nodes, calls=calls)


def node_own(view: View, node: Node) -> Json:
    """The fields of a node other than its message and its place, and its call."""
    own = bare(node, "id", "parent", "role", "message") | {"origin": node.origin}
    call = view.tree.calls.get(node.id)
    return own | ({"call": bare(call, "id", "node")} if call else {})


HELD = ("role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name", "tools")
"""Fields of a message that every format can express."""


def rest_of(message: Json | None) -> Json:
    """`{"message": ...}` with the fields of a message that are not among them; {} where there is none."""
    rest = {name: value for name, value in (message or {}).items() if name not in HELD}
    return {"message": rest} if rest else {}


def append(nodes: list[Node], calls: list[Call], message: Json, own: Json, **known: Any) -> Node:
    """Add a message below the last one, and its call. `known` stands where `own` tells nothing."""
    call = own.get("call") or known.pop("call", None)
    fields = {name: value for name, value in (known | own).items() if name not in ("call", "id", "parent", "message")}
    at = len(nodes)
    message = message | own.get("message", {})
    role = str(message.get("role") or "user")
    plain = fields | {"id": at, "parent": at - 1 if at else None, "role": role, "message": message}
    node = msgspec.convert(plain, Node)
    nodes.append(node)
    if call is not None:
        calls.append(msgspec.convert({"started_at": EPOCH} | call | {"id": len(calls), "node": at}, Call))
    return node


def time_of(given: Any) -> str | None:
    """A time as records have it, of ISO 8601 text or of seconds since 1970; None where nothing is given."""
    if given is None or given == "":
        return None
    try:
        if isinstance(given, int | float):
            when = datetime.fromtimestamp(given, UTC)
        else:
            when = datetime.fromisoformat(str(given))
    except (ValueError, OverflowError, OSError) as error:
        raise RecordError("convert", f"not a time: {given!r}") from error
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def seconds_of(time: str) -> float:
    """A time of a record as seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def rows_of(value: Any, what: str) -> list[Json]:
    """The value as a list of objects; RecordError, which names it `what`, when it is none."""
    if value is None:
        return []
    if not isinstance(value, list) or any(not isinstance(each, dict) for each in value):
        raise RecordError("convert", f"{what} is no list of objects")
    return value
