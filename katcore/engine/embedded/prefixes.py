"""Prefixes of the embedded engine: keys and values of token sequences that were seen before, for those that go on.

In: token ids and their KV. Out: the longest known beginning of other ids. Found by the hashes of whole blocks, so that
the time does not grow with what is known; beginnings shorter than a block are computed anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice

from katcore.engine.embedded.cache import Layers

BLOCK = 16
"""Tokens of a block."""
_LOOKED_AT = 16
"""How many entries with the same blocks are compared token by token, the newest first."""

_Ids = tuple[int, ...]


class PrefixStore:
    """KV of token sequences seen before, least recently used first out when `limit` bytes are passed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._entries: OrderedDict[_Ids, Layers] = OrderedDict()
        self._blocks: dict[int, dict[_Ids, None]] = {}

    def put(self, tokens: Sequence[int], layers: Layers) -> None:
        """Remember the KV of `tokens`; an entry that they extend is superseded."""
        ids = tuple(tokens)
        self._drop(ids)
        for known in self._alike(ids):
            if ids[: len(known)] == known:
                self._drop(known)
        self._entries[ids] = layers
        self.bytes += _size(layers)
        for key in _keys(ids):
            self._blocks.setdefault(key, {})[ids] = None
        while self.bytes > self.limit and self._entries:
            self._drop(next(iter(self._entries)))

    def longest(self, tokens: Sequence[int]) -> tuple[int, Layers]:
        """How many of the first `tokens` are known, and their KV."""
        wanted = tuple(tokens)
        shared, best = max(((_common(known, wanted), known) for known in self._alike(wanted)), default=(0, ()))
        if not shared:
            return 0, []
        self._entries.move_to_end(best)
        return shared, [(keys[:, :shared], values[:, :shared]) for keys, values in self._entries[best]]

    def clear(self) -> None:
        """Drop all entries."""
        self._entries.clear()
        self._blocks.clear()
        self.bytes = 0

    def _alike(self, ids: _Ids) -> list[_Ids]:
        """Entries that share the most whole blocks with these ids, the newest of them."""
        for key in reversed(list(_keys(ids))):
            if key in self._blocks:
                return list(islice(reversed(self._blocks[key]), _LOOKED_AT))
        return []

    def _drop(self, ids: _Ids) -> None:
        if ids not in self._entries:
            return
        self.bytes -= _size(self._entries.pop(ids))
        for key in _keys(ids):
            found = self._blocks[key]
            found.pop(ids, None)
            if not found:
                del self._blocks[key]


def _keys(ids: _Ids) -> Iterator[int]:
    """One key for each beginning of whole blocks, short to long."""
    key = 0
    for start in range(0, len(ids) - BLOCK + 1, BLOCK):
        key = hash((key, ids[start : start + BLOCK]))
        yield key


def _common(one: _Ids, other: _Ids) -> int:
    """The number of equal first tokens; found by comparing slices, which is faster than a loop."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _size(layers: Layers) -> int:
    """The bytes that these tensors keep alive: a view keeps its whole storage."""
    return sum(part.untyped_storage().nbytes() for pair in layers for part in pair)
