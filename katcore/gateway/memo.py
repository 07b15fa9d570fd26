"""What a session has read before: each call repeats the conversation, and only its end is new.

In: the bytes of a part of a request, or an object that such bytes became. Out: what was made of them before, the very
same object, or else what is made of them now. What it hands out is shared between requests: nobody may change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")
KEPT = 4096
"""Parts that are remembered, the latest used; agents send a few hundred."""
_SHORT = 64


class Memo:
    """Parts of earlier requests, by their bytes."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def read(self, raw: msgspec.Raw, how: Callable[[Any], T]) -> T:
        """`how` of the JSON value in `raw`. Whatever `how` raises; msgspec.DecodeError."""
        data = bytes(raw)
        key = (how, data if len(data) <= _SHORT else hashlib.blake2b(data, digest_size=16).digest())
        found = self._known.pop(key, self)
        if found is self:
            found = how(msgspec.json.decode(data))
        self._keep(key, found)
        return found  # type: ignore[no-any-return]

    def pair(self, one: Any, other: Any, how: Callable[[Any, Any], T]) -> T:
        """`how` of two things that were read here."""
        key = (how, id(one), id(other))
        found = self._known.pop(key, None) or (one, other, how(one, other))  # what is kept alive keeps its id
        self._keep(key, found)
        return found[2]  # type: ignore[no-any-return]

    def _keep(self, key: Hashable, found: Any) -> None:
        self._known[key] = found
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]


class Derived(Generic[T]):
    """What follows from an object that nobody changes, by its identity."""

    def __init__(self, how: Callable[[Any], T]) -> None:
        self._how = how
        self._known: dict[int, tuple[Any, T]] = {}

    def __call__(self, thing: Any) -> T:
        """`how(thing)`."""
        found = self._known.pop(id(thing), None) or (thing, self._how(thing))
        self._known[id(thing)] = found
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return found[1]
