"""The processes that train together: who this one is, and what they tell each other beside gradients.

In: the launcher's variables RANK, WORLD_SIZE, LOCAL_RANK. Out: values that all ranks hold. One process alone is a
world, too: it starts nothing and sends nothing. Gradients and weights are DeepSpeed's (`zero.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import torch

from katcore.errors import KatError
from katcore.train.batch import PackRow, Step

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """`size` processes, of which this one is number `rank`."""

    rank: int = 0
    size: int = 1

    @classmethod
    def of_launcher(cls) -> World:
        """The world that torchrun or the deepspeed launcher set up; one process without a launcher."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    @property
    def first(self) -> bool:
        """Whether this is the rank that reads, writes and speaks."""
        return self.rank == 0

    def all_gather(self, value: T) -> list[T]:
        """Every rank's value, by rank, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Return when every rank has called this."""
        self.all_gather(None)

    def leave(self) -> None:
        """Leave the group when every rank is here: one that is still in it when rank 0 has gone is aborted."""
        if torch.distributed.is_initialized():
            self.wait()
            torch.distributed.destroy_process_group()

    def broadcast(self, make: Callable[[], T]) -> T:
        """What `make` returns on rank 0, on every rank. After a KatError there the others leave with its exit code."""
        if self.size == 1:
            return make()
        said: list[Any] = [None, None]
        error: KatError | None = None
        if self.first:
            try:
                said[0] = make()
            except KatError as raised:
                error, said[1] = raised, raised.code
        torch.distributed.broadcast_object_list(said, src=0)
        if said[1] is not None:
            self.leave()
        if error is not None:
            raise error
        if said[1] is not None:
            raise SystemExit(said[1])  # rank 0 speaks
        made: T = said[0]
        return made

    def refuse(self, error: KatError) -> NoReturn:
        """End every rank for what all of them see: rank 0 raises, the others leave with the same exit code."""
        self.leave()
        if self.first:
            raise error
        raise SystemExit(error.code)

    def stream(self, items: Iterator[T]) -> Iterator[T]:
        """The items that rank 0 reads, on every rank; the other ranks' own are not touched."""
        while (item := self.broadcast(lambda: next(items, None))) is not None:
            yield item


ALONE = World()


@dataclass(frozen=True)
class Costs:
    """What a row costs: multiplications for each token, and for each pair of query and key."""

    token: float = 1.0
    pair: float = 0.0

    @classmethod
    def of(cls, config: Any) -> Costs:
        """From a model's config, with h the hidden size and V the vocabulary.

        12 h² a layer (4 of attention, 8 of a feed-forward of width 4 h) and h V of the head for a token; 2 · heads ·
        head size a layer (q kᵀ and p v) for a pair.
        """
        hidden, layers, heads = config.hidden_size, config.num_hidden_layers, config.num_attention_heads
        size = getattr(config, "head_dim", None) or hidden // heads
        return cls(layers * 12.0 * hidden**2 + hidden * config.vocab_size, layers * 2.0 * heads * size)

    def row(self, row: PackRow) -> float:
        """The multiplications of a row: a token sees its path, as many keys as its depth and itself."""
        return self.token * len(row.tree) + self.pair * float((row.tree.depth + 1).sum())


def shares(step: Step, costs: Costs, ranks: int) -> list[list[int]]:
    """For every rank its rows of the step, the costliest first: each row goes to the rank that has least (Graham 1969).

    The same on all ranks, since all of them hold the step.
    """
    cost = [costs.row(row) for row in step.rows]
    work = [0.0] * ranks
    dealt: list[list[int]] = [[] for _ in range(ranks)]
    for row in sorted(range(len(cost)), key=lambda row: (-cost[row], row)):
        rank = work.index(min(work))
        work[rank] += cost[row]
        dealt[rank].append(row)
    return dealt
