"""Rows that join and leave the batch."""

from __future__ import annotations

import torch

from katcore.engine.embedded.cache import BatchCache, Layers


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
    assert batch.join([row(3, 100.0), row(5, 200.0)]) == [0, 1]
    step(batch, 7.0)
    assert batch.join([row(9, 300.0)]) == [2]
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
    assert batch.mask.shape == (1, 204) and bool(batch.mask.all()) and batch.step_mask() is None
    batch.keep([])
    assert batch.join([row(2, 5.0)]) == [0]
    assert same(batch.row(0), row(2, 5.0)) and batch.mask.shape == (1, 2)


def test_a_row_that_joins_an_empty_slot_moves_nothing_and_sees_nothing_of_the_one_before() -> None:
    batch = BatchCache(2, torch.device("cpu"))
    batch.join([row(6, 100.0), row(4, 200.0), row(5, 300.0)])
    for _ in range(30):
        step(batch, 1.0)
    batch.leave(0)
    assert batch.mask.shape == (3, 35), "the longest of those that are left"
    step(batch, 2.0)
    rooms = [layer.room[0].data_ptr() for layer in batch.cache.layers]
    assert batch.join([row(40, 400.0)]) == [0]
    assert [layer.room[0].data_ptr() for layer in batch.cache.layers] == rooms
    assert batch.mask.sum(dim=1).tolist() == [40, 35, 36]
    assert same(batch.row(0), row(40, 400.0))
    step(batch, 3.0)
    found = batch.row(2)[1][0][0, :, 0].tolist()
    assert found == [300.0, 301.0, 302.0, 303.0, 304.0] + [1.0] * 30 + [2.0, 3.0]
    batch.join([row(2000, 0.0)])
    assert batch.row(2)[1][0][0, :, 0].tolist() == found
    assert all(bool(layer.room[0].isfinite().all()) for layer in batch.cache.layers)


def test_a_joined_row_is_a_copy() -> None:
    batch, source = BatchCache(2, torch.device("cpu")), row(3, 1.0)
    batch.join([source])
    step(batch, 9.0)
    assert same(source, row(3, 1.0))
