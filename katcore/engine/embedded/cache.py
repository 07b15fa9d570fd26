"""KV memory of the embedded engine: one right-aligned batch that rows join and leave, and finished prefixes for reuse.

Shapes: B rows, H key/value heads, L columns of the batch, n tokens of one row, D head size. Right-aligned means that
every row's newest token stands in the last column and `mask` is False on the padding to its left, so that one write
index serves all rows and transformers' own masks (sliding windows too, which count columns) stay right.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

Layers = list[tuple[Tensor, Tensor]]
"""Keys and values of one row, [H, n, D] per layer."""

_SLACK = 128


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """DynamicLayer in place: new columns are written into spare room instead of copying the whole layer each step."""

    keys: Tensor
    values: Tensor
    room: tuple[Tensor, Tensor]
    is_initialized: bool

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append [B, H, q, D] and return everything so far."""
        if not self.is_initialized:
            self.restore(key_states[:, :, :0], value_states[:, :, :0])
        at, added = self.keys.shape[2], key_states.shape[2]
        if at + added > self.room[0].shape[2]:
            columns = at + added + max(_SLACK, at // 4)
            self.room = _roomy(self.keys, columns), _roomy(self.values, columns)
        self.room[0][:, :, at : at + added] = key_states
        self.room[1][:, :, at : at + added] = value_states
        self.keys, self.values = self.room[0][:, :, : at + added], self.room[1][:, :, : at + added]
        return self.keys, self.values

    def restore(self, keys: Tensor, values: Tensor) -> None:
        """Make [B, H, L, D] the whole content; the tensors are never written to."""
        self.dtype, self.device = keys.dtype, keys.device
        self.keys, self.values = keys, values
        self.room = (keys, values)
        self.is_initialized = True


def _roomy(part: Tensor, columns: int) -> Tensor:
    rows, heads, filled, size = part.shape
    room = part.new_empty(rows, heads, columns, size)
    room[:, :, :filled] = part
    return room


def new_cache(layers: int, content: Layers | None = None) -> Cache:
    """A cache of growing layers, holding one row's [H, n, D] where given."""
    cache = Cache(layers=[GrowingLayer() for _ in range(layers)])
    for layer, (keys, values) in zip(cache.layers, content or []):
        layer.restore(keys[None], values[None])
    return cache


class BatchCache:
    """The KV of all running rows: `cache` for the model, `mask` [B, L] (True where there is a token)."""

    def __init__(self, layers: int, device: torch.device) -> None:
        self.cache = new_cache(layers)
        self.mask = torch.zeros(0, 0, dtype=torch.bool, device=device)

    def step_mask(self) -> Tensor:
        """Add a column to every row for the token of the step about to be made; returns the mask, [B, L + 1]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        return self.mask

    def join(self, rows: Sequence[Layers]) -> None:
        """Append rows to the batch, right-aligned with those that run."""
        old_rows, old_columns = self.mask.shape
        lengths = [row[0][0].shape[1] for row in rows]
        columns = max([old_columns, *lengths])
        mask = self.mask.new_zeros(old_rows + len(rows), columns)
        mask[:old_rows, columns - old_columns :] = self.mask
        for index, length in enumerate(lengths, old_rows):
            mask[index, columns - length :] = True
        self.mask = mask
        for number, layer in enumerate(self.cache.layers):
            old = (layer.keys, layer.values) if old_rows else None
            parts = (_stack(None if old is None else old[i], [row[number][i] for row in rows], columns) for i in (0, 1))
            layer.restore(*parts)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order, and drop the columns that none of them needs."""
        index = torch.tensor(rows, dtype=torch.long, device=self.mask.device)
        mask = self.mask[index]
        filled = mask.any(dim=0).nonzero()
        first = int(filled[0]) if len(filled) else mask.shape[1]
        self.mask = mask[:, first:]
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.restore(layer.keys[index, :, first:], layer.values[index, :, first:])

    def row(self, index: int) -> Layers:
        """A copy of one row's keys and values, [H, n, D] per layer, without padding."""
        columns = int(self.mask[index].sum())
        start = self.mask.shape[1] - columns
        return [(at.keys[index, :, start:].clone(), at.values[index, :, start:].clone()) for at in self.cache.layers]


def _stack(old: Tensor | None, new: list[Tensor], columns: int) -> Tensor:
    """[B, H, L, D] from the old batch and [H, n, D] rows, right-aligned; padding is zero, never NaN."""
    heads, _, size = new[0].shape
    kept = 0 if old is None else old.shape[0]
    out = new[0].new_zeros(kept + len(new), heads, columns, size)
    if old is not None:
        out[:kept, :, columns - old.shape[2] :] = old
    for index, part in enumerate(new, kept):
        out[index, :, columns - part.shape[1] :] = part
    return out


class PrefixStore:
    """KV of token sequences seen before, least recently used first out when `limit` bytes are passed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._entries: OrderedDict[tuple[int, ...], Layers] = OrderedDict()

    def put(self, tokens: Sequence[int], layers: Layers) -> None:
        """Remember the KV of `tokens`; entries that it extends are superseded."""
        key = tuple(tokens)
        for known in [known for known in self._entries if key[: len(known)] == known]:
            self._drop(known)
        self._entries[key] = layers
        self.bytes += _size(layers)
        while self.bytes > self.limit and self._entries:
            self._drop(next(iter(self._entries)))

    def longest(self, tokens: Sequence[int]) -> tuple[int, Layers]:
        """How many of the first `tokens` are known, and their KV."""
        best: tuple[int, ...] = ()
        shared, wanted = 0, tuple(tokens)
        for known in self._entries:
            length = _common(known, wanted)
            if length > shared:
                best, shared = known, length
        if not shared:
            return 0, []
        self._entries.move_to_end(best)
        return shared, [(keys[:, :shared], values[:, :shared]) for keys, values in self._entries[best]]

    def clear(self) -> None:
        """Drop all entries."""
        self._entries.clear()
        self.bytes = 0

    def _drop(self, key: tuple[int, ...]) -> None:
        self.bytes -= _size(self._entries.pop(key))


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
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
