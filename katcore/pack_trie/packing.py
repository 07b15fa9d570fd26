"""Rows of whole trees, and the packs made of them.

A tree goes into the first row that has room for it, in the order of arrival; one above the budget gets a row of its
own. Several trees in a row are a forest: `end` already keeps them apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from katcore.pack_trie.group import Tree
from katcore.pack_trie.settings import Settings
from katcore.pack_trie.terms import joined
from katcore.records import Pack, PackStats, StepCounts, content_id


def first_fit(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Rows of indices into `sizes`, each at most `budget` in sum, or one larger alone."""
    rows: list[list[int]] = []
    room = np.zeros(len(sizes), np.int64)
    for i, size in enumerate(sizes):
        row = int(np.argmax(room[: len(rows)] >= size)) if rows else 0
        if row >= len(rows) or room[row] < size:
            row = len(rows)
            rows.append([])
            room[row] = max(budget, 0)
        rows[row].append(i)
        room[row] -= size
    return rows


def por(unique: int, flat: int) -> float:
    """Potential overlap ratio: the share of the flat tokens that need not be computed."""
    return 1 - unique / flat if flat else 0.0


def packs(trees: Sequence[Tree], step: int, tokenizer: str, settings: Settings) -> Iterator[Pack]:
    """The packs of one step, each with the whole step's denominators."""
    names = StepCounts.__struct_fields__
    counts = StepCounts(**{name: sum(getattr(tree.counts, name) for tree in trees) for name in names})
    for row in first_fit([len(tree.trie) for tree in trees], settings.budget):
        yield _pack([trees[i] for i in row], step, counts, tokenizer, settings.objective)


def _pack(trees: Sequence[Tree], step: int, counts: StepCounts, tokenizer: str, objective: str) -> Pack:
    offsets = _offsets([len(tree.trie) for tree in trees])
    terms = joined([t.terms for t in trees], offsets, _offsets([len(t.samples) for t in trees]))
    parent = [np.where(t.trie.parent < 0, -1, t.trie.parent + o) for t, o in zip(trees, offsets)]
    arrays = {
        "tokens": np.concatenate([t.trie.tokens for t in trees]),
        "parent": np.concatenate(parent),
        "depth": np.concatenate([t.trie.depth for t in trees]),
        "end": np.concatenate([t.trie.end + o for t, o in zip(trees, offsets)]),
        "term_token": terms.token,
        "term_sample": terms.sample,
        "term_turn": terms.turn,
        "rl_weight": terms.rl,
        "ce_weight": terms.ce,
        "kl_weight": terms.kl,
    }
    if not np.isnan(terms.engine_logprob).any():
        arrays["engine_logprob"] = terms.engine_logprob
    unique, flat = len(arrays["tokens"]), sum(t.flat for t in trees)
    pack = Pack(
        id="",
        objective=objective,
        tokenizer=tokenizer,
        step=step,
        version=terms.version if any(terms.version) else None,
        samples=[sample for t in trees for sample in t.samples],
        step_counts=counts,
        stats=PackStats(flat=flat, unique=unique, por=por(unique, flat)),
        **{name: array.tolist() for name, array in arrays.items()},
    )
    return msgspec.structs.replace(pack, id=_id(pack, arrays))


def _offsets(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()[:-1]]


def _id(pack: Pack, arrays: dict[str, np.ndarray]) -> str:
    """A pack's id comes from its content; the long arrays are hashed as bytes rather than as text."""
    digests = [f"{name} {hashlib.sha256(a.tobytes()).hexdigest()}" for name, a in arrays.items()]
    rest = (pack.samples, pack.step_counts, pack.stats, pack.version)
    text = msgspec.json.encode(rest).decode()
    return content_id("kat.pack/1", pack.objective, pack.tokenizer, str(pack.step), text, *digests)
