"""Packs as tensors, grouped into optimiser steps, with the denominators that belong to the whole step.

In: kat.pack records in stream order. Out: `Step`s of `Row`s. A step's coefficients are fixed here, before any loss is
known: they depend neither on how the step was cut into packs nor on what a ratio masks later. Nothing here touches a
model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from katcore.errors import InputError, UsageError
from katcore.model.tree_lm import Tree
from katcore.records import Pack, StepCounts

REDUCERS = ("token-mean", "seq-mean-token-mean", "turn-mean", "constant")


@dataclass(frozen=True)
class Row:
    """One pack. N unique tokens, M terms (a trained occurrence of a token in a sample), Q samples; floats are fp64."""

    id: str
    tree: Tree
    term_token: Tensor  # [M] int64, index into the tree
    term_sample: Tensor  # [M] int64, index into `samples`
    term_turn: Tensor  # [M] int64
    rl_weight: Tensor  # [M], 0 where the sample is masked or has no advantage
    ce_weight: Tensor  # [M], 0 where the sample is masked
    kl_weight: Tensor  # [M], 0 where the sample is masked
    advantage: Tensor  # [M], the sample's
    engine_logprob: Tensor | None  # [M]
    old_logprob: Tensor | None  # [N]
    teacher_logprob: Tensor | None  # [N], the mean of the teachers'
    samples: tuple[str, ...]  # [Q] trajectory ids
    counts: StepCounts
    flat: int  # tokens of all paths, were each run by itself
    scale: Tensor  # [M], the RL and CE reducer's coefficient of each term
    kl_scale: Tensor  # [M], the distillation stream's own

    @classmethod
    def of(cls, pack: Pack) -> Row:
        """The pack as tensors on the CPU; InputError when its arrays contradict each other. Scales are still 0."""
        tree = Tree.of(pack)
        token, sample = torch.tensor(pack.term_token), torch.tensor(pack.term_sample)
        count = len(pack.term_token)
        _check_terms(pack, tree, token.long(), sample.long())
        live = torch.tensor([not s.masked for s in pack.samples])[sample.long()].double()
        scored = torch.tensor([s.advantage is not None for s in pack.samples])[sample.long()].double()
        advantage = _floats([s.advantage or 0.0 for s in pack.samples])[sample.long()]
        return cls(
            pack.id,
            tree,
            token.long(),
            sample.long(),
            torch.tensor(pack.term_turn).long(),
            _floats(pack.rl_weight) * live * scored,
            _floats(pack.ce_weight) * live,
            _floats(pack.kl_weight) * live,
            advantage,
            None if pack.engine_logprob is None else _floats(pack.engine_logprob),
            None if pack.old_logprob is None else _floats(pack.old_logprob),
            None if not pack.teacher_logprob else torch.tensor(pack.teacher_logprob, dtype=torch.float64).mean(0),
            tuple(s.trajectory_id for s in pack.samples),
            pack.step_counts,
            pack.stats.flat or len(tree),
            torch.zeros(count, dtype=torch.float64),
            torch.zeros(count, dtype=torch.float64),
        )


def _floats(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _check_terms(pack: Pack, tree: Tree, token: Tensor, sample: Tensor) -> None:
    columns = [pack.term_sample, pack.term_turn, pack.rl_weight, pack.ce_weight, pack.kl_weight, pack.engine_logprob]
    sizes = {len(column) for column in columns if column is not None}
    if len(token) == 0 or sizes != {len(token)}:
        raise InputError(f"pack {pack.id}: the columns of the term table must have one length above 0")
    inside = (token >= 0) & (token < len(tree)) & (sample >= 0) & (sample < len(pack.samples))
    if not bool(inside.all()):
        raise InputError(f"pack {pack.id}: a term points outside the pack")
    if bool((tree.parent[token] < 0).any()):
        raise InputError(f"pack {pack.id}: a root token is trained, but nothing comes before it to predict it from")
    per_token = [pack.old_logprob, *(pack.teacher_logprob or [])]
    if any(column is not None and len(column) != len(tree) for column in per_token):
        raise InputError(f"pack {pack.id}: log-probs must have one entry per unique token")


@dataclass(frozen=True)
class Step:
    """All packs of one optimiser step."""

    rows: tuple[Row, ...]
    counts: StepCounts

    @property
    def unique(self) -> int:
        """Tokens computed."""
        return sum(len(row.tree) for row in self.rows)

    @property
    def flat(self) -> int:
        """Tokens that path-by-path training would compute."""
        return sum(row.flat for row in self.rows)

    @property
    def trained(self) -> int:
        """Terms with a weight in any stream."""
        return sum(int(((row.rl_weight != 0) | (row.ce_weight != 0) | (row.kl_weight != 0)).sum()) for row in self.rows)


def steps(packs: Iterable[Pack], reducer: str, constant: int = 1024, batch_packs: int = 0) -> Iterator[Step]:
    """Group consecutive packs by their step number and counts, or `batch_packs` at a time whatever they say."""
    if batch_packs:
        rows: list[Row] = []
        for pack in packs:
            rows.append(Row.of(pack))
            if len(rows) == batch_packs:
                yield _step(rows, reducer, constant, counted(rows))
                rows = []
        if rows:
            yield _step(rows, reducer, constant, counted(rows))
        return
    for (_, _, counts), group in groupby(packs, key=_step_key):
        yield _step([Row.of(pack) for pack in group], reducer, constant, counts)


def _step_key(pack: Pack) -> tuple[int, tuple[int, ...], StepCounts]:
    counts = pack.step_counts
    return pack.step, (counts.groups, counts.samples, counts.turns, counts.trained_tokens), counts


def counted(rows: Sequence[Row]) -> StepCounts:
    """The counts of these rows themselves, for batches that do not follow the packs' own steps."""
    used = [(row.rl_weight != 0) | (row.ce_weight != 0) | (row.kl_weight != 0) for row in rows]
    samples = {(row.samples[s]) for row, u in zip(rows, used) for s in row.term_sample[u].tolist()}
    turns = sum(len(_segments(row, u)) for row, u in zip(rows, used))
    return StepCounts(samples=len(samples), turns=turns, trained_tokens=sum(int(u.sum()) for u in used))


def _segments(row: Row, used: Tensor) -> set[tuple[int, int]]:
    return set(zip(row.term_sample[used].tolist(), row.term_turn[used].tolist()))


def _step(rows: Sequence[Row], reducer: str, constant: int, counts: StepCounts) -> Step:
    scaled = tuple(
        replace(row, scale=scale, kl_scale=torch.full_like(scale, 1.0 / max(counts.trained_tokens, 1)))
        for row, scale in zip(rows, _scales(rows, reducer, constant, counts))
    )
    return Step(scaled, counts)


def _scales(rows: Sequence[Row], reducer: str, constant: int, counts: StepCounts) -> list[Tensor]:
    """The coefficient of each term, per row: a reducer is a weighted sum whose weights are known beforehand.

    token-mean: 1 / trained tokens of the step (DAPO). seq-mean-token-mean: 1 / (samples · tokens of the sample)
    (GRPO). turn-mean: 1 / (samples · turns of the sample · tokens of the turn). constant: 1 / (samples · constant)
    (Dr. GRPO, which divides by the longest allowed completion).
    """
    if reducer not in REDUCERS:
        raise UsageError(f"unknown reducer {reducer!r}", hint=f"one of: {', '.join(REDUCERS)}")
    samples = max(counts.samples, 1)
    if reducer == "token-mean":
        return [torch.full_like(row.scale, 1.0 / max(counts.trained_tokens, 1)) for row in rows]
    if reducer == "constant":
        return [torch.full_like(row.scale, 1.0 / (samples * constant)) for row in rows]
    tokens: dict[tuple[str, int], int] = {}  # of a sample (turn -1) or of one of its turns, over all packs of the step
    for key in (key for row in rows for key in _term_segments(row, reducer)):
        tokens[key] = tokens.get(key, 0) + 1
    turns: dict[str, int] = {}
    for name, _ in tokens:
        turns[name] = turns.get(name, 0) + 1
    share = {key: 1.0 / (samples * turns[key[0]] * count) for key, count in tokens.items()}
    return [_floats([share[key] for key in _term_segments(row, reducer)]) for row in rows]


def _term_segments(row: Row, reducer: str) -> list[tuple[str, int]]:
    """Per term, the segment that its mean is taken over: the sample, or (sample, turn)."""
    turns = row.term_turn.tolist() if reducer == "turn-mean" else [-1] * len(row.scale)
    return [(row.samples[sample], turn) for sample, turn in zip(row.term_sample.tolist(), turns)]
