"""The term table: one row for every trained occurrence of a token.

The same token may be sampled in one trajectory and prompt in another, or drawn twice with other log-probs: losses
reduce over terms, and no weight contains the shape of the tree. A segment is (sample, turn). Legend: M terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.tree import Floats, Index, Ints, TokenTree


@dataclass(frozen=True)
class Weights:
    """The weights of a trajectory's sampled tokens in the three losses, [S] each."""

    rl: Floats  # [S]
    ce: Floats  # [S]
    kl: Floats  # [S]

    @classmethod
    def of(cls, tree: TokenTree, *, rl: float = 0.0, ce: float = 0.0, kl: float = 0.0) -> Weights:
        """The same weights for every sampled token."""
        return cls(*(np.full(len(tree.sampled), weight, np.float32) for weight in (rl, ce, kl)))

    def scaled(self, weight: float) -> Weights:
        """These weights with the cross-entropy ones multiplied by `weight`, the sample's own."""
        return self if weight == 1.0 else replace(self, ce=self.ce * np.float32(weight))


@dataclass(frozen=True)
class TermTable:
    """A part of the term table; `token` and `sample` are indices into the trie and the samples it belongs to."""

    token: Index
    sample: Ints
    turn: Ints
    rl: Floats
    ce: Floats
    kl: Floats
    engine_logprob: Floats  # NaN where the engine gave none
    version: list[str]

    def __len__(self) -> int:
        return len(self.token)

    @property
    def turns(self) -> int:
        """Number of segments (sample, turn) with a trained token."""
        return len(np.unique((self.sample.astype(np.int64) << 32) | self.turn))


def occurrences(tree: TokenTree, shared_tokens: str) -> list[Index]:
    """The sampled tokens [S] that each sample of the trajectory trains.

    `sample`: the trajectory is one sample and trains each token that it drew once, however often it forked below.
    `path`: every root-to-leaf path is a sample of its own, as if it had been trained apart from the others.
    """
    if shared_tokens == "sample":
        return [np.arange(len(tree.sampled))]
    bounds = np.searchsorted(tree.sampled_node, np.arange(len(tree.nodes) + 1)).tolist()
    return [np.concatenate([np.arange(bounds[k], bounds[k + 1]) for k in tree.path(leaf)]) for leaf in tree.leaves]


def terms_of(
    tree: TokenTree, place: Index, weights: Weights, first_sample: int, settings: PackOptions
) -> list[TermTable]:
    """A table for each sample of one trajectory; `place` [T] is where the trie has its tokens."""
    tables = []
    for sample, which in enumerate(occurrences(tree, settings.shared_tokens), first_sample):
        tables.append(
            TermTable(
                token=place[tree.sampled[which]],
                sample=np.full(len(which), sample, np.int32),
                turn=tree.turn[which],
                rl=weights.rl[which],
                ce=weights.ce[which],
                kl=weights.kl[which],
                engine_logprob=tree.engine_logprob[which],
                version=[tree.version[i] for i in which.tolist()],
            )
        )
    return tables


def joined(tables: Sequence[TermTable], token_offsets: Sequence[int], sample_offsets: Sequence[int]) -> TermTable:
    """The tables one after the other, their tokens and samples counted from these offsets."""
    return TermTable(
        token=np.concatenate([table.token + offset for table, offset in zip(tables, token_offsets)]),
        sample=np.concatenate([table.sample + np.int32(offset) for table, offset in zip(tables, sample_offsets)]),
        turn=np.concatenate([table.turn for table in tables]),
        rl=np.concatenate([table.rl for table in tables]),
        ce=np.concatenate([table.ce for table in tables]),
        kl=np.concatenate([table.kl for table in tables]),
        engine_logprob=np.concatenate([table.engine_logprob for table in tables]),
        version=[version for table in tables for version in table.version],
    )
