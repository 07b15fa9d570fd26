"""Trajectories as rows of other formats, and rows of other formats as trajectories.

In: a kat.trajectory or a foreign row. Out: rows and a count of what they could not hold, or a trajectory whose
`artifacts.origin` remembers what it has no place for. A row that was read and is written in its own format is the same
row. What a format cannot hold is counted by kind: `turns` on paths that were not written, `tokens`, `logprobs`, `calls`
(times, usage, sampling), `messages`, `verdicts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import msgspec

from katcore.errors import RecordError
from katcore.pool import Item
from katcore.records import Json, Trajectory, key_of
from katcore.streams import Line
from katcore.streams.foreign import STDIN, read_rows
from katcore.trajectory.formats import (
    TrajectoryFormat,
    View,
    anthropic_messages,
    atif,
    mini_swe,
    openai_messages,
    swe_bench,
    verifiers,
)
from katcore.trajectory.origin import remember, restore
from katcore.trajectory.paths import Paths

ALL = frozenset({"messages", "tokens", "calls", "verdict"})
FORMATS = {
    "atif": TrajectoryFormat(atif.to_row, atif.from_row, ("schema_version", "agent", "steps"), ALL),
    "openai": TrajectoryFormat(
        openai_messages.to_row, openai_messages.from_row, ("messages",), frozenset({"messages", "verdict"})
    ),
    "anthropic": TrajectoryFormat(
        anthropic_messages.to_row, anthropic_messages.from_row, ("messages",), frozenset({"messages", "verdict"})
    ),
    "mini-swe-agent": TrajectoryFormat(
        mini_swe.to_row, mini_swe.from_row, ("info", "messages", "trajectory_format"), ALL
    ),
    "swe-bench": TrajectoryFormat(
        swe_bench.to_row, swe_bench.from_row, ("instance_id", "model_name_or_path"), frozenset()
    ),
    "verifiers": TrajectoryFormat(verifiers.to_row, verifiers.from_row, ("nodes", "task"), ALL | {"branches"}),
}
"""The name that `--from` and `--to` take. A row of swe-bench or verifiers is a whole attempt, of the others a path."""


def read_foreign(name: str, row: Json) -> Trajectory:
    """The trajectory of a foreign row. RecordError when the row is not of the format."""
    kind = FORMATS[name]
    if missing := [field for field in kind.needs if field not in row]:
        raise RecordError("convert", f"no row of {name}: it has no {', '.join(missing)}")
    try:
        made = kind.from_row(row)
        return remember(made, name, row, kind.to_row(View(tree := Paths(made), tree.main)))
    except RecordError:
        raise
    except Exception as error:  # other people's rows may be anything: it is wrong with this one alone
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RecordError("convert", f"no row of {name}: {what}") from error


def write_foreign(name: str, trajectory: Trajectory, paths: str) -> tuple[list[Json], Counter[str]]:
    """Rows of a format: of the `main` path or of `all` paths; and what of the trajectory is in none of them."""
    kind, tree = FORMATS[name], Paths(trajectory)
    whole = "branches" in kind.holds or "messages" not in kind.holds
    views = [View(tree, tree.main)]
    if paths == "all" and not whole and len(tree.all) > 1:
        views = [View(tree, path, whole=False) for path in tree.all]
    try:
        made = [restore(trajectory, name, kind.to_row(view)) for view in views]
    except RecordError:
        raise
    except Exception as error:  # messages are free-form: they may be anything
        raise RecordError("convert", f"cannot be written as {name}: {error!r}") from error
    written = set(tree.by_id) if "branches" in kind.holds else {node.id for view in views for node in view.path}
    if name == "atif" and views[0].whole:
        written |= {node.id for path in tree.all if path[0].boundary == "subagent" for node in path}
    return made, _lost(kind, tree, written)


def _lost(kind: TrajectoryFormat, tree: Paths, written: set[int]) -> Counter[str]:
    lost: Counter[str] = Counter()
    attempt = tree.trajectory
    for node in attempt.nodes:
        kept = node.id in written
        lost["messages"] += not (kept and "messages" in kind.holds)
        lost["turns"] += not kept and node.id in tree.completions
        if not (kept and "tokens" in kind.holds):
            lost["tokens"] += len(node.token_ids or ())
            lost["logprobs"] += len(node.engine_logprobs or ())
    held = written if "calls" in kind.holds else set()
    failed = "branches" in kind.holds
    lost["calls"] = sum(not (failed if call.node is None else call.node in held) for call in attempt.calls)
    lost["verdicts"] = int(attempt.verdict is not None and "verdict" not in kind.holds)
    return +lost


Count = Callable[[str, int], None]


def items(found: Iterable[Item], to: str, paths: str, count: Count) -> Iterator[Item]:
    """The items with their output: rows of `to`, or a record where there is none; `count` is told what is lost.

    Converting is done here and not by the stage's workers, since the counts are one.
    """
    for item in found:
        given = item.payload.record if isinstance(item.payload, Line) else item.payload
        if isinstance(given, RecordError):
            yield item
            continue
        assert isinstance(given, Trajectory)
        if not to:
            yield replace(item, payload=[given])
            continue
        try:
            made, lost = write_foreign(to, given, paths)
            rows = [msgspec.json.encode(row) for row in made]
        except (RecordError, UnicodeEncodeError) as error:  # arguments read as JSON may hold half a surrogate pair
            why = error if isinstance(error, RecordError) else RecordError("convert", str(error))
            yield replace(item, payload=why)
            continue
        for what, n in lost.items():
            count(f"lost_{what}", n)
        yield replace(item, payload=rows)


def emit(item: Item) -> Iterator[Trajectory | bytes]:
    """The output of an item, or the reason why there is none."""
    if isinstance(item.payload, RecordError):
        raise item.payload
    yield from item.payload


def foreign_items(name: str, paths: Sequence[Path]) -> Iterator[Item]:
    """One item a row, named by its trajectory as `--resume` needs; a row that is none is a dead letter."""
    for found in chain.from_iterable(map(read_rows, paths or [STDIN])):
        try:
            if found.fault is not None:
                raise found.fault
            made = read_foreign(name, found.row)
        except RecordError as error:
            yield Item(f"row:{found.where}", error, raw=found.kept, line=found.line, source=found.source)
        else:
            yield Item(key_of(made), made, shard=made.task_id, raw=found.raw, line=found.line, source=found.source)
