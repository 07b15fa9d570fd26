"""The memory of prefixes."""

from __future__ import annotations

import random

import torch

from katcore.engine.embedded.cache import Layers
from katcore.engine.embedded.prefixes import BLOCK, PrefixStore


def row(length: int, fill: float) -> Layers:
    """One layer of [2, length, 4] that holds `fill`."""
    part = torch.full((2, length, 4), fill)
    return [(part, -part)]


def filled(layers: Layers) -> tuple[int, float]:
    keys, values = layers[0]
    assert torch.equal(keys, -values) and len(keys.unique()) == 1
    return keys.shape[1], float(keys[0, 0, 0])


def test_the_longest_known_prefix_is_found_whatever_else_shares_its_beginning() -> None:
    chosen = random.Random(0)
    store = PrefixStore(1 << 30)
    start = [chosen.randrange(9) for _ in range(3 * BLOCK)]
    known = [start + [chosen.randrange(2) for _ in range(chosen.randrange(60))] for _ in range(12)]
    for number, ids in enumerate(known):
        store.put(ids, row(len(ids), float(number)))
    for ids in known:
        for cut in (2 * BLOCK, len(start), len(ids)):
            wanted = [*ids[:cut], 99]
            length, layers = store.longest(wanted)
            assert length == cut
            found = known[int(filled(layers)[1])]
            assert found[:cut] == ids[:cut] and filled(layers)[0] == cut


def test_less_than_a_block_is_not_looked_for() -> None:
    store = PrefixStore(1 << 20)
    store.put([1] * (2 * BLOCK), row(2 * BLOCK, 0.0))
    assert store.longest([1] * (BLOCK - 1)) == (0, []) and store.longest([2] * 99) == (0, [])
    assert store.longest([1] * BLOCK + [2])[0] == BLOCK


def test_the_store_forgets_what_was_not_used_and_what_is_superseded() -> None:
    size = sum(part.nbytes for part in row(BLOCK, 0.0)[0])
    store = PrefixStore(2 * size)
    for token in (1, 2):
        store.put([token] * BLOCK, row(BLOCK, float(token)))
    store.longest([1] * BLOCK)
    store.put([3] * BLOCK, row(BLOCK, 3.0))
    assert [store.longest([token] * BLOCK)[0] for token in (1, 2, 3)] == [BLOCK, 0, BLOCK]
    store.put([3] * (BLOCK + 1), row(BLOCK + 1, 3.0))
    assert store.bytes <= 2 * size and store.longest([3] * (BLOCK + 1))[0] == BLOCK + 1
    store.put([4] * 999, row(999, 0.0))
    assert store.bytes == 0 and store.longest([4] * 99)[0] == 0 and not store._blocks
