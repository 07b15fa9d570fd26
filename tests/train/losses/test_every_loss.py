"""Every objective over a forest in parts equals path-by-path training: the same loss on log-probs of paths run alone.

The losses themselves are held against loops written by hand in test_losses_*.py; here it is what lies between model and
loss: parts, seams, two passes, terms of shared tokens. Weights of old policy, engine, teacher and reference differ from
the model's, so that ratios are clipped, dropped and truncated.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from katcore.model.tree_lm import TreeLM
from katcore.records import Pack
from katcore.train.batch import steps
from katcore.train.losses import OBJECTIVES, LossSettings
from katcore.train.objective import TrainObjective
from katcore.train.options import ObjectiveOptions, Optimizer
from katcore.train.terms import TermTensors
from katcore.train.trainer import Trainer
from tests.support.random_packs import Paths, gradients, packed, path_logprobs, tiny_model, worst

TOLERANCE = 1e-6  # of transformers' fp32 norms and rotary positions

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sft": ("sft", {}),
    "grpo": ("grpo", {}),
    "grpo-icepop": ("grpo", {"off_policy": "icepop", "icepop_low": 0.8, "icepop_high": 1.3}),
    "grpo-tis-stale": ("grpo", {"off_policy": "tis", "tis_clip": 1.1, "max_staleness": 1}),
    "grpo-kl-k1": ("grpo", {"kl_ref": 0.3, "kl_estimator": "k1"}),
    "grpo-kl-k3": ("grpo", {"kl_ref": 0.3}),
    "gspo-turn": ("gspo", {"clip_low": 0.02, "clip_high": 0.03}),
    "gspo-product": ("gspo", {"turn_ratio": "product"}),
    "gspo-sequence": ("gspo", {"segment": "sequence", "clip_low": 0.02, "clip_high": 0.03}),
    "gspo-turn-icepop-kl": ("gspo", {"off_policy": "icepop", "icepop_low": 0.8, "icepop_high": 1.3, "kl_ref": 0.2}),
    "opd": ("opd", {"opd_weight": 0.7}),
    "opd-turn": ("opd", {"segment": "turn"}),
    "mixed": ("mixed", {"mix_rl": 0.5, "mix_ce": 0.3, "kl_ref": 0.1}),
}


def by_paths(pack: Pack, paths: Paths, objective: TrainObjective) -> tuple[float, dict[str, Tensor]]:
    """The loss and all gradients from log-probs of every path run by itself."""
    (step,) = steps([pack], objective.reducer)
    terms = TermTensors.of_row(step.rows[0], 0, torch.device("cpu"), weighted=False)
    model = tiny_model(int(pack.id.removeprefix("pack")))
    logprobs = path_logprobs(model, paths)
    lp = torch.stack([logprobs[sample][position - 1] for sample, position, *_ in paths.terms])
    assert terms.packed_old is not None
    inputs = terms.inputs(torch.arange(len(lp)), lp, torch.zeros_like(lp), terms.packed_old)
    loss = OBJECTIVES[objective.name].loss(inputs, objective.settings).loss
    loss.backward()
    return float(loss.detach()), gradients(model)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("budget", [0, 1, 0.1, 0.25])
def test_parts_equal_path_by_path(case: str, budget: float) -> None:
    name, options = CASES[case]
    seed = 20 + list(CASES).index(case)
    pack, paths = packed(seed)
    objective = TrainObjective(name, ObjectiveOptions(loss=LossSettings(**options)))
    expected_loss, expected = by_paths(pack, paths, objective)
    model = tiny_model(seed)
    tokens = round(budget * len(pack.tokens)) if budget < 1 else int(budget)
    trainer = Trainer(TreeLM(model), None, objective, Optimizer(), tokens)
    (step,) = steps([pack], objective.reducer)
    loss = sum(float(out.loss) for out in trainer.gradients(step))
    assert abs(loss - expected_loss) <= TOLERANCE * abs(expected_loss)
    assert worst(gradients(model), expected) <= TOLERANCE
    assert trainer.passes.computed == len(pack.tokens)
    assert trainer.passes.forward_only == (len(pack.tokens) if objective.coupled else 0)


def test_the_data_is_clipped_and_dropped_and_free() -> None:
    """Otherwise the test above says nothing about clipping."""
    for case, (name, options) in CASES.items():
        if name == "sft":
            continue
        pack, _ = packed(20 + list(CASES).index(case))
        model = tiny_model(20 + list(CASES).index(case))
        (step,) = steps([pack], "token-mean")
        outputs = Trainer(
            TreeLM(model), None, TrainObjective(name, ObjectiveOptions(loss=LossSettings(**options))), Optimizer()
        ).gradients(step)
        metrics = {key: torch.cat([o.metrics[key].flatten() for o in outputs]) for key in outputs[0].metrics}
        for key in ("icepop_masked", "tis_truncated", "staleness_masked"):
            assert key not in metrics or 0 < float(metrics[key].mean()) < 1
        if "clip_high" in metrics and name != "opd":
            assert 0 < float((metrics["clip_high"] + metrics["clip_low"]).mean()) < 1, case


def test_rescaled_advantages_are_those_of_the_formula() -> None:
    """A' = α β A with D, H over the whole step, two packs of which hold a tree each."""
    pack, _ = packed(3)
    for i, sample in enumerate(pack.samples):
        sample.reward = float(i % 3 == 0)
    objective = TrainObjective("grpo", ObjectiveOptions(difficulty_weight=0.8, entropy_weight=0.5))
    model = tiny_model(3)
    trainer = Trainer(TreeLM(model), None, objective, Optimizer(), 7)
    (step,) = steps([pack], "token-mean")
    seen = trainer.passes.begin(step)
    row, entropy = step.rows[0], seen.entropy[0].tolist()
    owner = row.term_sample.tolist()
    live = [
        i
        for i in range(len(owner))
        if bool((row.rl_weight[i] != 0) | (row.ce_weight[i] != 0) | (row.kl_weight[i] != 0))
    ]
    mean_h = {
        s: sum(h for h, i in zip(entropy, live) if owner[i] == s) / sum(owner[i] == s for i in live) for s in set(owner)
    }
    groups: dict[str, list[int]] = {}
    for s in sorted(mean_h):
        groups.setdefault(pack.samples[s].group_id, []).append(s)
    hard = {g: 1 - sum(pack.samples[s].reward or 0 for s in members) / len(members) for g, members in groups.items()}
    for got, i in zip(seen.terms[0].columns.advantage.tolist(), live):
        g = pack.samples[owner[i]].group_id
        alpha = 1 + 0.8 * (hard[g] - sum(hard.values()) / len(hard))
        beta = 1 + 0.5 * (mean_h[owner[i]] - sum(mean_h[s] for s in groups[g]) / len(groups[g]))
        wanted = min(max(alpha, 0.2), 5.0) * min(max(beta, 0.2), 5.0) * float(row.advantage[i])
        assert got == pytest.approx(wanted, rel=1e-9)
    assert trainer.passes.forward_only == len(pack.tokens)


def test_averaged_passes_of_a_deterministic_model_are_one() -> None:
    """In fp64 the order of siblings changes roundings only: the gradient is that of one pass."""
    pack, _ = packed(4)
    (step,) = steps([pack], "token-mean")
    found = []
    for passes in (1, 3):
        model = tiny_model(4)
        trainer = Trainer(TreeLM(model), None, TrainObjective("grpo", ObjectiveOptions(passes=passes)), Optimizer(), 9)
        trainer.gradients(step)
        found.append(gradients(model))
        if passes > 1:
            assert trainer.passes.forward_only >= 2 * len(pack.tokens)
    assert worst(found[1], found[0]) <= 1e-6


def test_the_reference_policys_logprobs_come_from_its_model() -> None:
    pack, paths = packed(5)
    given = pack.ref_logprob
    other = tiny_model(6)
    with torch.no_grad():
        logprobs = path_logprobs(other, paths)
    exact = list(given or [])
    for term, (sample, position, *_) in enumerate(paths.terms):
        exact[pack.term_token[term]] = float(logprobs[sample][position - 1])
    objective = TrainObjective("grpo", ObjectiveOptions(loss=LossSettings(kl_ref=0.4)))
    found = []
    for column, reference in ((exact, None), (None, TreeLM(other))):
        pack.ref_logprob = column
        model = tiny_model(5)
        trainer = Trainer(TreeLM(model), None, objective, Optimizer(), 11, reference=reference)
        trainer.gradients(next(steps([pack], "token-mean")))
        found.append(gradients(model))
    assert worst(found[1], found[0]) <= 1e-6


def test_staleness_is_counted_from_the_newest_weights_of_the_step() -> None:
    """Not of the pack: one whose tokens are all old would otherwise count as fresh."""
    packs = [packed(seed)[0] for seed in (7, 8)]
    for pack, version in zip(packs, ("2", "5")):
        pack.version = [version] * len(pack.term_token)
    (step,) = steps(packs, "token-mean", batch_packs=2)
    assert [row.age.unique().tolist() for row in step.rows if row.age is not None] == [[3.0], [0.0]]
