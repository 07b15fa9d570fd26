"""What a session has read before: each call repeats the conversation, and only its end is new.

In: the bytes of a part of a request, or an object that such bytes became. Out: what was made of them before, the very
same object, or else what is made of them now. What it hands out is shared between requests: nobody may change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
KEPT = 4096
"""How many parts are remembered; agents send a few hundred."""
LISTS, LARGEST = 4, 1 << 20
"""How many lists are remembered as they came, those used last, none of more bytes than LARGEST."""
_SHORT = 64
_SPACE = b" \t\r\n"
_BETWEEN = _SPACE + b","


@dataclass(frozen=True)
class _List:
    """A list as it came, and where each of its entries ends in that text."""

    how: Any
    data: bytes
    """Up to the end of the last entry."""
    ends: list[int]
    made: list[Any]

    def beginning(self, data: bytes) -> int:
        """How many of its first entries another list begins with."""
        low, high = 0, len(self.ends)
        if data.startswith(self.data):  # as a conversation goes on
            low = high
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if data.startswith(self.data[: self.ends[middle - 1]]) else (low, middle - 1)
        return low if low and data[self.ends[low - 1] : self.ends[low - 1] + 1] in _AFTER else 0


_AFTER = frozenset(bytes([byte]) for byte in _BETWEEN + b"]")
"""What ends an entry that has no end of its own: a number."""


class Memo:
    """Remembers what was read from parts of earlier requests, by the parts' bytes."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}
        self._lists: list[_List] = []

    def read(self, raw: msgspec.Raw, how: Callable[[Any], T]) -> T:
        """What `how` makes of the JSON value in `raw`, made once. Raises what `how` raises, and msgspec.DecodeError."""
        data = bytes(raw)
        key = (how, data if len(data) <= _SHORT else hashlib.blake2b(data, digest_size=16).digest())
        found = self._known.get(key, self)
        if found is self:
            found = how(msgspec.json.decode(data))
            self._keep(key, found)
        return found  # type: ignore[no-any-return]

    def entries(
        self,
        raw: msgspec.Raw,
        how: Callable[[Any], T],
        parted: Callable[[bytes], list[msgspec.Raw]],
        read: Callable[[msgspec.Raw], T],
    ) -> list[T]:
        """What `how` makes of each entry of the JSON list in `raw`; what an earlier list began with is known.

        `parted` takes a list's text apart, `read` reads an entry with `how`; what they raise is raised.
        """
        data = bytes(raw)
        known, count = None, 0
        for each in self._lists:
            if each.how is how and (begins := each.beginning(data)) > count:
                known, count = each, begins
        ends, made, at, rest = [], [], 1, data
        if known is not None:
            ends, made, at = known.ends[:count], known.made[:count], known.ends[count - 1]
            rest = data[at:].lstrip(_SPACE)
            goes_on = rest[:1] == b"," and rest[1:].lstrip(_SPACE) != b"]"
            rest = b"[" + rest[1:] if goes_on else rest if rest == b"]" else data  # which is no JSON, and says why
        for entry in parted(rest) if rest != b"]" else ():
            while data[at] in _BETWEEN:
                at += 1
            at += memoryview(entry).nbytes
            made.append(read(entry))
            ends.append(at)
        if made and len(data) <= LARGEST:
            gone = known if known is not None and count == len(known.ends) else None
            kept = [each for each in self._lists if each is not gone][: LISTS - 1]
            self._lists = [_List(how, data[:at], ends, made), *kept]
        return list(made)

    def pair(self, one: Any, other: Any, how: Callable[[Any, Any], T]) -> T:
        """What `how` makes of two things that `read` returned, made once."""
        key = (how, id(one), id(other))
        found = self._known.get(key)
        if found is None:
            found = (one, other, how(one, other))  # what is kept alive keeps its id
            self._keep(key, found)
        return found[2]  # type: ignore[no-any-return]

    def _keep(self, key: Hashable, found: Any) -> None:
        self._known[key] = found
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]


class Derived(Generic[T]):
    """Remembers a value computed from objects that nobody changes, by their identity."""

    def __init__(self, how: Callable[[Any], T]) -> None:
        self._how = how
        self._known: dict[int, tuple[Any, T]] = {}

    def __call__(self, thing: Any) -> T:
        """`how(thing)`, computed once for each object."""
        found = self._known.get(id(thing))
        if found is None:
            found = self._known[id(thing)] = (thing, self._how(thing))
            if len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        return found[1]
