"""OpenAI messages: `{"messages": [...], "tools": [...], "metadata": {...}}`, as chat datasets have them.

Messages stay as they are, `reasoning_content` included. Tokens, log-probs and calls have no place.
"""

from __future__ import annotations

from katcore.records import Call, Json, Node, Trajectory
from katcore.trajectory.formats import View
from katcore.trajectory.formats.kept import OWN, append, head_of, own_of, rows_of, trajectory_of
from katcore.trajectory.paths import messages_of, tools_of

NAME = "openai"


def to_row(view: View) -> Json:
    """The row of a path: its messages and tools."""
    tools = tools_of(view.path)
    row: Json = {"messages": messages_of(view.path)} | ({"tools": tools} if tools else {})
    return row | {"metadata": {OWN: head_of(view, NAME)}}


def from_row(row: Json) -> Trajectory:
    """The trajectory, of text without tokens, in a row."""
    nodes: list[Node] = []
    calls: list[Call] = []
    tools = rows_of(row.get("tools"), "tools")
    for message in rows_of(row["messages"], "messages"):
        append(nodes, calls, message if nodes or not tools else message | {"tools": tools}, {}, origin="external")
    return trajectory_of(NAME, row, own_of(row.get("metadata")), nodes, calls, model=row.get("model"))
