"""Rows that join and leave the batch, and the memory of prefixes."""

from __future__ import annotations

import torch

from katcore.engine.embedded.cache import BatchCache, Layers, PrefixStore


def row(length: int, fill: float) -> Layers:
    """Two layers of [2, length, 4]; column i of the row holds fill + i."""
    part = (fill + torch.arange(length, dtype=torch.float32))[None, :, None].expand(2, length, 4)
    return [(part.clone(), -part) for _ in range(2)]


def same(one: Layers, other: Layers) -> bool:
    return all(torch.equal(a, b) for pair, wanted in zip(one, other) for a, b in zip(pair, wanted))


def step(batch: BatchCache, fill: float) -> None:
    batch.step_mask()
    for number in range(2):
        new = torch.full((len(batch.mask), 2, 1, 4), fill)
        batch.cache.update(new, -new, number)


def test_rows_keep_their_content_through_joins_steps_and_departures() -> None:
    batch = BatchCache(2, torch.device("cpu"))
    batch.join([row(3, 100.0), row(5, 200.0)])
    step(batch, 7.0)
    batch.join([row(9, 300.0)])
    assert batch.mask.sum(dim=1).tolist() == [4, 6, 9] and batch.mask.shape == (3, 9)
    for _ in range(200):  # beyond the spare room
        step(batch, 8.0)
    batch.keep([2, 0])
    assert batch.mask.shape == (2, 209)
    found = batch.row(1)
    wanted = row(3, 100.0)[0][0]
    assert found[1][0].shape == (2, 204, 4) and torch.equal(found[1][0][:, :3], wanted)
    assert torch.equal(found[1][1], -found[1][0])
    assert found[0][0][0, 3:, 0].tolist() == [7.0] + [8.0] * 200
    batch.keep([1])
    assert batch.mask.shape == (1, 204) and bool(batch.mask.all())
    batch.keep([])
    batch.join([row(2, 5.0)])
    assert same(batch.row(0), row(2, 5.0)) and batch.mask.shape == (1, 2)


def test_a_joined_row_is_a_copy() -> None:
    batch, source = BatchCache(2, torch.device("cpu")), row(3, 1.0)
    batch.join([source])
    step(batch, 9.0)
    assert same(source, row(3, 1.0))


def test_the_longest_known_prefix_is_found() -> None:
    store = PrefixStore(1 << 20)
    store.put([1, 2, 3, 4], row(4, 0.0))
    store.put([1, 2, 9], row(3, 50.0))
    assert store.longest([7]) == (0, [])
    for tokens, wanted, fill in (([1, 2, 3, 5], 3, 0.0), ([1, 2, 9, 9], 3, 50.0), ([1, 2, 3, 4, 5], 4, 0.0)):
        length, layers = store.longest(tokens)
        assert length == wanted and same(layers, row(wanted, fill))


def test_the_store_forgets_what_was_not_used_and_what_is_superseded() -> None:
    entry = row(4, 0.0)
    size = sum(part.nbytes for pair in entry for part in pair)
    store = PrefixStore(2 * size)
    store.put([1, 1, 1, 1], row(4, 1.0))
    store.put([2, 2, 2, 2], row(4, 2.0))
    store.longest([1, 1])
    store.put([3, 3, 3, 3], row(4, 3.0))
    assert [store.longest([token])[0] for token in (1, 2, 3)] == [1, 0, 1]
    store.put([3, 3, 3, 3, 3], row(5, 3.0))
    assert store.bytes <= 2 * size and store.longest([3, 3, 3, 3, 3])[0] == 5
    store.put([4] * 99, row(99, 0.0))
    assert store.bytes == 0 and store.longest([4])[0] == 0
