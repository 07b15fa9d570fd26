"""Draw a trie as SVG, for people: who shares what, where attempts part, and what is trained.

In: a stream of trajectories (one group of them is drawn, as packing would merge it) or of packs (one of them). Out:
an SVG document. `picture.py` gathers what there is to draw, `layout.py` places it, `svg.py` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from katcore.errors import InputError, RecordError
from katcore.pack_trie.group import Member
from katcore.pack_trie.objectives import OBJECTIVES
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.show.layout import lay_out
from katcore.pack_trie.show.margins import TOP
from katcore.pack_trie.show.picture import Picture, of_group, of_pack
from katcore.pack_trie.show.svg import draw
from katcore.pack_trie.tree import TokenTree
from katcore.records import Pack, Trajectory
from katcore.streams import Line


@dataclass
class Choice:
    """What of a stream to draw: the named group or pack, else the group with most samples, else the first pack."""

    group: str = ""
    pack: str = ""
    unreadable: int = 0
    open: dict[str, list[Member]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    best: list[Member] = field(default_factory=list)
    found: Picture | None = None  # of a pack

    def trajectory(self, line: Line, trajectory: Trajectory) -> None:
        """Consider a trajectory: it is kept if its group may be drawn; of whole groups only the largest stays."""
        name = trajectory.group_id
        if self.pack or (self.group and name != self.group):
            return
        members = self.open.setdefault(name, [])
        self.waiting[name] = self.waiting.get(name, trajectory.group_size) - 1
        try:
            members.append(Member(trajectory, TokenTree.of(trajectory), line))
        except RecordError:
            self.unreadable += 1
        if self.waiting[name] <= 0:
            self._whole(name)

    def _whole(self, name: str) -> None:
        members = [m for m in self.open.pop(name) if len(m.tree.tokens)]
        self.best = max(self.best, members, key=len)

    def of_pack(self, pack: Pack) -> None:
        """Consider a pack: it is kept if it is the named one, or without names the first that can be drawn."""
        if self.found is None and self.pack in ("", pack.id):
            self.found = of_pack(pack, self.group or None)

    def members(self) -> list[Member]:
        """The members of the chosen group, once the stream has ended."""
        for name in list(self.open):
            self._whole(name)
        return self.best


def show(
    lines: Iterable[Line],
    *,
    rows: int,
    group: str = "",
    pack: str = "",
    settings: PackOptions | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> str:
    """The SVG of the group or pack of this name; without names, of the group with most samples, else the first pack.

    With `settings` a group's tokens are coloured by the weights that packing would give them. At most `rows` branch
    ends are drawn one by one. InputError when the stream has nothing to draw.
    """
    choice = Choice(group, pack)
    for line in lines:
        if isinstance(line.record, Pack):
            choice.of_pack(line.record)
        elif isinstance(line.record, Trajectory):
            choice.trajectory(line, line.record)
    if choice.unreadable:
        warn(f"{choice.unreadable} trajectories have no exact tokens and are not drawn")
    members = choice.members()
    if members:
        _check_verdicts(members, settings)
        picture = of_group(members, settings)
    elif choice.found is not None:
        picture = choice.found
    else:
        what = f"no pack {pack}" if pack else f"no group {group} with sampled tokens" if group else ""
        raise InputError(f"{what or 'no trajectories with sampled tokens and no packs'} in the input")
    return draw(picture, lay_out(picture, rows, TOP))


def _check_verdicts(members: list[Member], settings: PackOptions | None) -> None:
    if settings is None or not OBJECTIVES[settings.objective].needs_reward:
        return
    for member in members:
        if member.trajectory.verdict is None:
            raise InputError(
                f"{member.line.source}: line {member.line.number}: trajectory {member.trajectory.id} has no verdict",
                hint=f"{settings.objective} needs rewards: run kat-verify first",
            )
