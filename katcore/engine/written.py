"""Token ids that are written down already: a prompt repeats the one before it, and so does its JSON."""

from __future__ import annotations

from collections.abc import Sequence

import orjson


class WrittenIds(list[int]):
    """Ids with the text of their JSON list, without its brackets. Whoever has one changes nothing in it."""

    __slots__ = ("text",)

    def __init__(self, ids: Sequence[int] = (), text: bytes | None = None) -> None:
        super().__init__(ids)
        self.text = _written(self) if text is None else text

    def then(self, more: Sequence[int]) -> WrittenIds:
        """These ids, and more behind them."""
        if not more:
            return self
        return WrittenIds([*self, *more], b",".join(filter(None, (self.text, _written(more)))))

    @property
    def json(self) -> orjson.Fragment:
        """What `orjson` writes for them, without looking at them again."""
        return orjson.Fragment(b"[" + self.text + b"]")


def _written(ids: Sequence[int]) -> bytes:
    return orjson.dumps(list(ids) if type(ids) is not list else ids)[1:-1]
