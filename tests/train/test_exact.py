"""Tree training equals path-by-path training: the loss, and the gradient of every parameter, in fp64."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from katcore.model.partition import partition
from katcore.model.tree_lm import TreeLM
from katcore.records import Pack
from katcore.train.batch import steps
from katcore.train.losses import LossSettings
from katcore.train.objective import TrainObjective
from katcore.train.options import ObjectiveOptions, Optimizer
from katcore.train.trainer import Trainer
from tests.support.random_packs import KINDS, Paths, make_pack, path_logprobs, tiny_model, varied

BACKENDS = ("reference", "segments")
TOLERANCE = 1e-6  # transformers' norms and rotary positions are computed in fp32 whatever the model's dtype


def path_loss(objective: str, pack: Pack, paths: Paths, logprobs: list[Tensor], c: float) -> Tensor:
    """The objective written out over paths, one term after the other, for a single step (so π_old = sg[π])."""
    total = torch.zeros((), dtype=torch.float64)
    for term, (sample, position, _, rl, ce, kl) in enumerate(paths.terms):
        lp = logprobs[sample][position - 1]
        ratio = (lp - lp.detach()).exp()
        if objective == "sft":
            total = total - ce * lp
        if objective in ("grpo", "opd"):
            a = paths.advantages[sample]
            total = total - rl * torch.minimum(ratio * a, ratio.clamp(0.8, 1.28) * a)
        if objective == "opd":
            assert pack.teacher_logprob is not None
            teacher = pack.teacher_logprob[0][pack.term_token[term]]
            total = total - c * kl * -(lp.detach() - teacher) * lp
    return total / pack.step_counts.trained_tokens


def worst(got: Any, expected: Any) -> float:
    """Largest error over all parameters, relative to the parameter's largest gradient."""
    errors = [(float((g - e).abs().max() / e.abs().max()), n) for (n, g), e in zip(got.items(), expected.values())]
    return max(errors)[0]


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def tokens_of(budget: float, pack: Pack) -> int:
    """A budget in tokens; below 1 it is a share of the tree, and -1 stands for one less than the longest path."""
    return max(pack.depth) if budget < 0 else round(budget * len(pack.tokens)) if budget < 1 else int(budget)


def compare(
    objective: str, seed: int, backend: str, budget: float = 0, kind: str = "qwen3", **kwargs: Any
) -> tuple[float, float]:
    """Errors of the gradients and of the loss; `budget` as in `tokens_of`."""
    pack, paths = make_pack(seed, **kwargs)
    tokens = tokens_of(budget, pack)
    model = tiny_model(seed, kind=kind)
    path_loss(objective, pack, paths, path_logprobs(model, paths), 0.7).backward()
    expected = gradients(model)
    reference = float(path_loss(objective, pack, paths, path_logprobs(model, paths), 0.7).detach())
    trainer = Trainer(
        TreeLM(model, backend),
        None,
        TrainObjective(objective, ObjectiveOptions(loss=LossSettings(opd_weight=0.7))),
        Optimizer(),
        tokens,
    )
    (step,) = steps([pack], "token-mean")
    loss = sum(float(out.loss) for out in trainer.gradients(step))
    # opd's value is not its path form's (a surrogate's value is arbitrary); its gradient is
    value = 0.0 if objective == "opd" else abs(loss - reference) / abs(reference)
    return worst(gradients(model), expected), value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("objective", ["sft", "grpo", "opd"])
@pytest.mark.parametrize("seed", range(6))
def test_gradients_equal_path_by_path(objective: str, backend: str, seed: int) -> None:
    gradient, value = compare(objective, seed, backend, trees=1 + seed % 3, samples=2 + seed)
    assert gradient <= TOLERANCE
    assert value <= TOLERANCE


BUDGETS = (1, 2, 3, 0.1, 0.25, 0.5, 0, -1)
CASES = list(itertools.product(["sft", "grpo", "opd"], BUDGETS))
"""Objectives and budgets: tokens, a share of the tree, all of it, or one token less than the longest path."""


def sizes(seed: int) -> dict[str, int]:
    """Trees and samples of a random forest."""
    return {"trees": 1 + seed % 3, "samples": 3 + seed % 7}


FORESTS = list(itertools.islice((s for s in itertools.count() if varied(make_pack(s, **sizes(s))[0])), 54))
"""Seeds of random forests of depth 4 or more, forks of 3 or more branches, branches of one token, repeated tokens."""


@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(FORESTS)))
@pytest.mark.usefixtures("model_in_fp64")
def test_parts_equal_path_by_path(case: int) -> None:
    objective, budget = CASES[case % len(CASES)]
    assert max(compare(objective, FORESTS[case], "segments", budget, **sizes(FORESTS[case]))) <= 1e-10


def test_the_cuts_lie_inside_turns_at_forks_and_at_the_first_sampled_token() -> None:
    """Of the parts of the test above: what the first token of a part is, and the token it hangs below."""
    where: Counter[str] = Counter()
    for case, seed in enumerate(FORESTS):
        pack, paths = make_pack(seed, **sizes(seed))
        trained = set(pack.term_token)
        first = {
            pack.term_token[i]
            for i, t in enumerate(paths.terms)
            if t[1] == min(x[1] for x in paths.terms if x[0] == t[0])
        }
        turn = {(s, token): t for s, token, t in zip(pack.term_sample, pack.term_token, pack.term_turn)}
        children = Counter(pack.parent)
        parts = partition(next(steps([pack], "token-mean")).rows[0].tree, tokens_of(CASES[case % len(CASES)][1], pack))
        longest = max(pack.depth) + 1
        where["whole"] += len(parts) == 1
        where["path longer than a part"] += max(map(len, parts)) < longest
        for part in parts:
            for token in part.own.tolist():
                above = pack.parent[token]
                if above < 0 or above in part.own.tolist():
                    continue
                where["fork"] += children[above] > 1
                where["first sampled"] += token in first
                where["inside a turn"] += (
                    token in trained
                    and above in trained
                    and any(turn.get((s, above)) == t for (s, at), t in turn.items() if at == token)
                )
    assert min(where[name] for name in ("fork", "first sampled", "inside a turn")) > 50, where
    assert where["whole"] >= 4 and where["path longer than a part"] > 20, where


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [0, 1, 0.2])
@pytest.mark.parametrize("seed", [60, 61])
def test_kinds_of_models(kind: str, budget: float, seed: int) -> None:
    gradient, value = compare("grpo", seed, "segments", budget, kind, trees=2, samples=6)
    assert gradient <= TOLERANCE
    assert value <= TOLERANCE


@pytest.mark.parametrize("budget", [0, 1, 7, 0.1, 0.25, 0.5, -1])
@pytest.mark.parametrize("recompute", [False, True])
def test_every_way_to_keep_activations_gives_the_same_gradients(budget: float, recompute: bool) -> None:
    """Recomputation of all parts or only of those that cannot wait whole: each of their layers exactly once more."""
    pack, _ = make_pack(8, trees=2, samples=6)
    (step,) = steps([pack], "token-mean")
    model = tiny_model(8)
    runs: Counter[tuple[int, int]] = Counter()

    def count(layer: int, kwargs: dict[str, Any]) -> None:
        if "kat_seam" in kwargs:
            runs.update([(layer, int(kwargs["kat_seam"].part.own[0]))])

    for number, layer in enumerate(model.model.layers):
        layer.self_attn.register_forward_hook(lambda _, a, kw, out, n=number: count(n, kw), with_kwargs=True)
    lm = TreeLM(model)
    runs.clear()
    tokens = tokens_of(budget, pack)
    trainer = Trainer(lm, None, TrainObjective("grpo"), Optimizer(), tokens, recompute=recompute)
    trainer.gradients(step)
    got = gradients(model)
    parts = partition(step.rows[0].tree, tokens)
    read = {pack.parent[token] for token in pack.term_token}
    back = [bool(part.children) or not read.isdisjoint(part.own.tolist()) for part in parts]
    again = {int(part.own[0]): has and (recompute or not part.keep) for part, has in zip(parts, back)}
    assert runs == {(layer, part): 1 + more for layer in range(2) for part, more in again.items()}
    Trainer(lm, None, TrainObjective("grpo"), Optimizer()).gradients(step)
    assert worst(got, gradients(model)) <= 1e-12


def test_computed_tokens_are_the_unique_ones_at_any_budget() -> None:
    pack, _ = make_pack(3, trees=2, samples=7)
    (step,) = steps([pack], "token-mean")
    for budget in (0, 1, 2, 5, 17):
        model = tiny_model(3)
        seen: list[int] = []
        model.model.embed_tokens.register_forward_hook(lambda _, given, out, seen=seen: seen.append(given[0].numel()))
        lm = TreeLM(model)
        seen.clear()
        trainer = Trainer(lm, None, TrainObjective("grpo"), Optimizer(), budget)
        trainer.memory = None  # it measures with walks of its own, before the first step
        metrics = trainer.take(step)
        assert sum(seen) == len(pack.tokens) == metrics["tokens_unique"] == metrics["tokens_computed"]
        assert metrics["forward_only_tokens"] == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_single_chain_is_ordinary_training(backend: str) -> None:
    gradient, value = compare("grpo", 3, backend, trees=1, chain=True)
    assert gradient <= TOLERANCE
    assert value <= TOLERANCE


def test_sampled_packs_do_share_terms_and_repeat_tokens() -> None:
    shared = 0
    for seed in range(6):
        pack, _ = make_pack(seed, trees=1 + seed % 3, samples=2 + seed)
        assert pack.stats.unique < pack.stats.flat
        by_token: dict[int, set[int]] = {}
        for token, sample in zip(pack.term_token, pack.term_sample):
            by_token.setdefault(token, set()).add(sample)
        shared += sum(len(samples) > 1 for samples in by_token.values())
        assert len(set(pack.tokens)) < len(pack.tokens)
    assert shared > 20  # otherwise the tests above say nothing about terms


@pytest.mark.slow
@pytest.mark.usefixtures("model_in_fp64")
@pytest.mark.parametrize("kind", ["qwen3", "qwen3-moe"])
def test_a_model_that_stays_in_fp64_is_equal_to_1e_10(kind: str) -> None:
    for seed, (backend, budget) in enumerate(itertools.product(BACKENDS, BUDGETS)):
        assert max(compare("grpo", seed, backend, budget, kind)) <= 1e-10


def test_clipping_over_several_updates_is_exact_at_shared_tokens() -> None:
    """π_old is fixed over the updates of a step, so that later ones clip: terms of one token clip apart."""
    pack, paths = make_pack(11, trees=1, samples=6)
    model = tiny_model(11)
    old = [lp.detach() for lp in path_logprobs(tiny_model(5), paths)]
    token_old = torch.zeros(len(pack.tokens), dtype=torch.float64)
    for term, (sample, position, *_) in enumerate(paths.terms):
        token_old[pack.term_token[term]] = old[sample][position - 1]
    pack.old_logprob = [float(x) for x in token_old.float()]
    total, clips = torch.zeros((), dtype=torch.float64), 0
    logprobs = path_logprobs(model, paths)
    for term, (sample, position, _, rl, _, _) in enumerate(paths.terms):
        ratio = (logprobs[sample][position - 1] - pack.old_logprob[pack.term_token[term]]).exp()
        a = paths.advantages[sample]
        clips += bool(ratio > 1.28) if a > 0 else bool(ratio < 0.8)
        total = total - rl * torch.minimum(ratio * a, ratio.clamp(0.8, 1.28) * a)
    assert 0 < clips < len(paths.terms)
    (total / pack.step_counts.trained_tokens).backward()
    expected = gradients(model)
    trainer = Trainer(TreeLM(model), None, TrainObjective("grpo"), Optimizer())
    trainer.gradients(next(steps([pack], "token-mean")))
    assert worst(gradients(model), expected) <= TOLERANCE


def test_the_order_of_packs_and_their_division_changes_nothing() -> None:
    """Two trees in one pack, or one each in two: denominators are the step's."""
    both, _ = make_pack(2, trees=2)
    whole = _gradient_of([both], "token-mean")
    cut = both.parent.index(-1, 1)
    halves = [_half(both, 0, cut), _half(both, cut, len(both.tokens))]
    for reducer in ("token-mean", "seq-mean-token-mean", "turn-mean", "constant"):
        assert worst(_gradient_of(halves, reducer), _gradient_of([both], reducer)) <= TOLERANCE
        assert worst(_gradient_of(halves[::-1], reducer), _gradient_of([both], reducer)) <= TOLERANCE
    assert worst(_gradient_of([both], "constant"), whole) > 1e-3  # reducers do differ


def _half(pack: Pack, start: int, stop: int) -> Pack:
    import msgspec

    keep = [i for i, t in enumerate(pack.term_token) if start <= t < stop]
    columns = ("term_sample", "term_turn", "rl_weight", "ce_weight", "kl_weight", "engine_logprob")
    return msgspec.structs.replace(
        pack,
        id=f"{pack.id}-{start}",
        tokens=pack.tokens[start:stop],
        parent=[p - start if p >= 0 else -1 for p in pack.parent[start:stop]],
        depth=pack.depth[start:stop],
        end=[e - start for e in pack.end[start:stop]],
        teacher_logprob=None,
        term_token=[pack.term_token[i] - start for i in keep],
        **{name: [getattr(pack, name)[i] for i in keep] for name in columns},
    )


def _gradient_of(packs: list[Pack], reducer: str) -> dict[str, Tensor]:
    model = tiny_model(4)
    trainer = Trainer(TreeLM(model), None, TrainObjective("grpo", ObjectiveOptions(reducer=reducer)), Optimizer())
    (step,) = steps(packs, reducer, 64)
    trainer.gradients(step)
    return gradients(model)
