"""KV memory of the embedded engine: one right-aligned batch that rows join and leave.

Shapes: B slots, H key/value heads, L columns of the batch, n tokens of one row, D head size. Right-aligned means that
every row's newest token stands in the last column and `mask` is False on the padding to its left, so that one write
index serves all rows and transformers' own masks (sliding windows too, which count columns) stay right. Columns lie in
a room that is larger than they are, to both sides: steps, rows that join a slot and longer rows move nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from katcore.engine.embedded.library import Cache, DynamicLayer

Layers = list[tuple[Tensor, Tensor]]
"""Keys and values of one row, [H, n, D] per layer."""

_SLACK = 128


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """DynamicLayer in place: what it holds are the columns `start` to `end` of a room, [B, H, C, D]."""

    keys: Tensor
    values: Tensor
    room: tuple[Tensor, Tensor]
    start: int
    end: int
    is_initialized: bool

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append [B, H, q, D] and return everything so far."""
        if not self.is_initialized:
            self.restore(key_states[:, :, :0], value_states[:, :, :0])
        added = key_states.shape[2]
        if self.end + added > self.room[0].shape[2]:
            self.move(len(key_states), 0, added + _spare(self.end - self.start))
        self.room[0][:, :, self.end : self.end + added] = key_states
        self.room[1][:, :, self.end : self.end + added] = value_states
        self.show(self.start, self.end + added)
        return self.keys, self.values

    def restore(self, keys: Tensor, values: Tensor) -> None:
        """Make [B, H, L, D] the whole content; the tensors are never written to, but for `show` and `place`."""
        self.dtype, self.device = keys.dtype, keys.device
        self.room = (keys, values)
        self.is_initialized = True
        self.show(0, keys.shape[2])

    def show(self, start: int, end: int) -> None:
        """Hold other columns of the room."""
        self.start, self.end = start, end
        self.keys, self.values = self.room[0][:, :, start:end], self.room[1][:, :, start:end]

    def move(self, slots: int, left: int, right: int) -> None:
        """Move into a new room of so many slots, with so many free columns on either side: zero, never NaN."""
        width = self.end - self.start
        self.room = tuple(_roomy(part, slots, left, right) for part in (self.keys, self.values))  # type: ignore[assignment]
        self.show(left, left + width)

    def place(self, slot: int, keys: Tensor, values: Tensor) -> None:
        """Write one row's [H, n, D], right-aligned."""
        columns = slice(self.end - keys.shape[1], self.end)
        self.room[0][slot, :, columns] = keys
        self.room[1][slot, :, columns] = values


def _spare(width: int) -> int:
    """How many columns more than it needs a batch of that width has."""
    return max(_SLACK, width // 4)


def _roomy(part: Tensor, slots: int, left: int, right: int) -> Tensor:
    rows, heads, filled, size = part.shape
    room = part.new_zeros(slots, heads, left + filled + right, size)
    room[:rows, :, left : left + filled] = part[:slots]
    return room


def new_cache(layers: int, content: Layers | None = None) -> Cache:
    """A cache of growing layers, holding one row's [H, n, D] where given."""
    cache = Cache(layers=[GrowingLayer() for _ in range(layers)])
    for layer, (keys, values) in zip(cache.layers, content or []):
        layer.restore(keys[None], values[None])
    return cache


class BatchCache:
    """The KV of all running rows, each in a slot of its own: `cache` for the model, `mask` [B, L] (True at tokens).

    A row that leaves moves nothing: its slot is empty until another row joins it, or `keep` is called.
    """

    def __init__(self, layers: int, device: torch.device) -> None:
        self.cache = new_cache(layers)
        self.lengths: list[int] = []
        self._marks = torch.zeros(0, 0, dtype=torch.bool, device=device)  # [B, C], the room's columns
        self._start = self._end = 0

    @property
    def mask(self) -> Tensor:
        """Where there are tokens, [B, L]."""
        return self._marks[:, self._start : self._end]

    def step_mask(self) -> Tensor | None:
        """Add a column for the token of the step about to be made; the mask, [B, L + 1], or None: it is all True.

        An empty slot takes part in the step with this one column.
        """
        if self._end == self._marks.shape[1]:
            self._move(len(self.lengths), self._start, _spare(self._end - self._start))
        self._marks[:, self._end] = True
        self._end += 1
        self.lengths = [length and length + 1 for length in self.lengths]
        width = self._end - self._start
        return None if all(length == width for length in self.lengths) else self.mask

    def join(self, rows: Sequence[Layers]) -> list[int]:
        """Put rows into empty slots, new ones where there are none; the slot of each."""
        empty = [slot for slot, length in enumerate(self.lengths) if not length]
        if len(empty) == len(self.lengths):
            self._clear(rows[0])
            empty = []
        added = max(0, len(rows) - len(empty))
        slots = [*empty, *range(len(self.lengths), len(self.lengths) + added)][: len(rows)]
        longest = max(row[0][0].shape[1] for row in rows)
        if added or longest > self._end:
            wider = max(0, longest - (self._end - self._start))
            self._move(len(self.lengths) + added, wider + _SLACK, _spare(longest))
        self.lengths += [0] * added
        for slot, row in zip(slots, rows):
            length = self.lengths[slot] = row[0][0].shape[1]
            self._marks[slot] = False
            self._marks[slot, self._end - length : self._end] = True
            for layer, (keys, values) in zip(self.cache.layers, row):
                layer.place(slot, keys, values)
        self._fit()
        return slots

    def leave(self, slot: int) -> None:
        """Empty a slot; columns that no other row needs go too."""
        self.lengths[slot] = 0
        self._marks[slot] = False
        self._fit()

    def keep(self, slots: Sequence[int]) -> None:
        """Keep the rows of these slots, in this order, and no others."""
        index = torch.tensor(slots, dtype=torch.long, device=self._marks.device)
        self.lengths = [self.lengths[slot] for slot in slots]
        self._marks = self._marks[index]
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.room = (layer.room[0][index], layer.room[1][index])
        self._fit()

    def row(self, slot: int) -> Layers:
        """A copy of one row's keys and values, [H, n, D] per layer, without padding."""
        first = self._end - self._start - self.lengths[slot]
        return [(at.keys[slot, :, first:].clone(), at.values[slot, :, first:].clone()) for at in self.cache.layers]

    def _clear(self, like: Layers) -> None:
        """No slots, in the shapes of this row."""
        self.lengths, self._start, self._end = [], 0, 0
        self._marks = self._marks.new_zeros(0, 0)
        for layer, (keys, values) in zip(self.cache.layers, like):
            layer.restore(keys[None, :, :0][:0], values[None, :, :0][:0])

    def _fit(self) -> None:
        """Hold the columns that the longest row needs."""
        self._start = self._end - max(self.lengths, default=0)
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.show(self._start, self._end)

    def _move(self, slots: int, left: int, right: int) -> None:
        width = self._end - self._start
        marks = self._marks.new_zeros(slots, left + width + right)
        marks[: len(self._marks), left : left + width] = self.mask
        self._marks, self._start, self._end = marks, left, left + width
        for layer in self.cache.layers:
            layer.move(slots, left, right)
