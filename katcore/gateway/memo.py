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
"""How many parts are remembered, those used last; agents send a few hundred."""
_SHORT = 64


class Memo:
    """Remembers what was read from parts of earlier requests, by the parts' bytes."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def read(self, raw: msgspec.Raw, how: Callable[[Any], T]) -> T:
        """What `how` makes of the JSON value in `raw`, made once. Raises what `how` raises, and msgspec.DecodeError."""
        data = bytes(raw)
        key = (how, data if len(data) <= _SHORT else hashlib.blake2b(data, digest_size=16).digest())
        found = self._known.pop(key, self)
        if found is self:
            found = how(msgspec.json.decode(data))
        self._keep(key, found)
        return found  # type: ignore[no-any-return]

    def pair(self, one: Any, other: Any, how: Callable[[Any, Any], T]) -> T:
        """What `how` makes of two things that `read` returned, made once."""
        key = (how, id(one), id(other))
        found = self._known.pop(key, None) or (one, other, how(one, other))  # what is kept alive keeps its id
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
        found = self._known.pop(id(thing), None) or (thing, self._how(thing))
        self._known[id(thing)] = found
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return found[1]
