"""What survives `kill -9`: every call of a rollout, on disk before it is answered.

One JSON Lines file for each rollout. The first line says what it is; each further line holds a part of an answer that
is about to be forwarded, or one call, the nodes that it added, and the outcomes that it told of earlier tool calls. The
file goes when the trajectory has been written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from katcore.records import Boundary, Call, Json, Node, Outcome, OutcomeBy


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of a journal: a call and what it changed in the tree; or, without a call, part of an unfinished answer.

    `renamed`: nodes of earlier lines that turned out to be of another lineage. `token_ids` and `logprobs` go on from
    the parts before.
    """

    call: Call | None = None
    nodes: list[Node] = []
    judged: list[tuple[int, int, Outcome, OutcomeBy]] = []
    renamed: list[tuple[int, str, Boundary]] = []
    part_of: int | None = None
    prompt: int | None = None
    token_ids: list[int] = []
    logprobs: list[float] = []
    versions: list[tuple[int, str]] = []


@dataclass
class Unfinished:
    """An answer that was cut off by the end of the process: what had gone out, and maybe a little more."""

    prompt: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@dataclass
class Journaled:
    """A journal as read back; an unfinished last line is one that was never answered."""

    header: Json
    calls: list[Call] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    unfinished: dict[int, Unfinished] = field(default_factory=dict)


class Journal:
    """An open journal; with `sync` each entry is also flushed to the disk and survives a loss of power."""

    def __init__(self, path: Path, header: Json, *, sync: bool = False) -> None:
        self.path = path
        self._sync = sync
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=0)
        self._write(msgspec.json.encode(header))

    def append(self, entry: Entry) -> None:
        """Write an entry to the file; once this returns, its answer may be sent."""
        self._write(msgspec.json.encode(entry))

    def close(self, *, remove: bool = False) -> None:
        """Close the file, and with `remove` delete it, when its trajectory is safe elsewhere."""
        self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def _write(self, line: bytes) -> None:
        data = memoryview(line + b"\n")
        while data:
            data = data[self._file.write(data) or 0 :]
        if self._sync:
            os.fsync(self._file.fileno())


def read_journal(path: Path) -> Journaled:
    """The calls and nodes that a journal holds, and what it has of an unfinished answer."""
    *lines, _ = path.read_bytes().split(b"\n")
    if not lines:
        return Journaled({})
    found = Journaled(msgspec.json.decode(lines[0]))
    for line in lines[1:]:
        entry = msgspec.json.decode(line, type=Entry)
        found.nodes += entry.nodes
        for number, lineage, boundary in entry.renamed:
            found.nodes[number].lineage, found.nodes[number].boundary = lineage, boundary
        for node, index, outcome, by in entry.judged:
            call = found.nodes[node].tool_calls[index]
            call.outcome, call.outcome_by = outcome, by
        if entry.call is not None:
            found.calls.append(entry.call)
            found.unfinished.pop(entry.call.id, None)
        elif entry.part_of is not None and entry.prompt is not None:
            part = found.unfinished.setdefault(entry.part_of, Unfinished(entry.prompt))
            part.token_ids += entry.token_ids
            part.logprobs += entry.logprobs
    return found
