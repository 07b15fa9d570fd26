"""Which of several servers takes a prompt: the one that knows most of it, unless it is much busier than another.

In: token ids of prompts, and how calls went. Out: the index of a server. Knows only what passed through here; in front
of servers that others use too, `sglang-router` does the same with their own word for it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence

_BLOCK = 64
"""Tokens of a block: prefixes are compared in whole blocks."""
_KNOWN = 1 << 16
_BUSIER = 8
"""How many more open calls than the least busy server a prefix's home may have; beyond, the prefix is computed anew."""
_DOWN_S = 15.0
"""Seconds for which a server that failed is asked last."""


class Routes:
    """Servers by number, their open calls, and the prefixes each has seen. For one event loop."""

    def __init__(self, servers: int) -> None:
        self.running = [0] * servers
        self._down_until = [0.0] * servers
        self._known: OrderedDict[int, int] = OrderedDict()
        self._turn = 0

    def pick(self, ids: Sequence[int], but: Collection[int] = ()) -> int:
        """The server for a prompt, none of `but` where another is left; it is the prefix's home from now on."""
        if len(self.running) == 1:
            return 0
        choice = [index for index in range(len(self.running)) if index not in but] or list(range(len(self.running)))
        now = time.monotonic()
        choice = [index for index in choice if self._down_until[index] <= now] or choice
        keys = list(_keys(ids))
        homes = (self._known.get(key) for key in reversed(keys))
        home = next((index for index in homes if index in choice), None)
        least = min(self.running[index] for index in choice)
        if home is None or self.running[home] > least + _BUSIER:
            idle = [index for index in choice if self.running[index] == least]
            home = idle[self._turn % len(idle)]
            self._turn += 1
        for key in keys:
            self._known[key] = home
            self._known.move_to_end(key)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return home

    def failed(self, index: int) -> None:
        """Note that a server did not answer."""
        self._down_until[index] = time.monotonic() + _DOWN_S

    def answered(self, index: int) -> None:
        """Note that a server answered."""
        self._down_until[index] = 0.0


def _keys(ids: Sequence[int]) -> Iterator[int]:
    """One key for each prefix of whole blocks, short to long."""
    key = 0
    for start in range(0, len(ids) - _BLOCK + 1, _BLOCK):
        key = hash((key, *ids[start : start + _BLOCK]))
        yield key
