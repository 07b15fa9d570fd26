"""Other people's formats of trajectories, one module each.

A module has `to_row(view) -> row` and `from_row(row) -> trajectory`, pure functions of JSON; `holds` says what of a
trajectory survives in a row. `kept` puts what is KAT's own into a format's free field. Fields of a foreign row that a
trajectory has no place for are none of their business: `katcore.trajectory.origin` keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from katcore.records import Json, Node, Trajectory
from katcore.trajectory.paths import Paths


@dataclass(frozen=True)
class View:
    """One row to be made: a trajectory and one path of it. `whole`: the row stands for all of it."""

    tree: Paths
    path: list[Node]
    whole: bool = True

    @property
    def trajectory(self) -> Trajectory:
        """The trajectory whose tree this is."""
        return self.tree.trajectory


@dataclass(frozen=True)
class TrajectoryFormat:
    """One format. `holds`: which of messages, tokens, calls, branches and verdict survive in its rows."""

    to_row: Callable[[View], Json]
    from_row: Callable[[Json], Trajectory]
    needs: tuple[str, ...]
    holds: frozenset[str]
