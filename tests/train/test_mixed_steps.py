"""`mixed` on packs made for several objectives: its gradient is the sum of the objectives', each trained by itself."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from katcore.errors import InputError
from katcore.model.folder import load
from katcore.model.tree_lm import TreeLM
from katcore.records import Node, Pack, Sample, Scaffold, StepCounts, Trajectory, Verdict, encode
from katcore.train.batch import Step, steps
from katcore.train.losses import LossSettings
from katcore.train.objective import TrainObjective
from katcore.train.options import ObjectiveOptions, Optimizer
from katcore.train.trainer import Trainer
from tests.support.random_packs import gradients, make_pack, packed, tiny_model, worst

RL, CE = 0.7, 0.4


def sampled(seed: int, step: int = 0, *, taught: bool = False) -> Pack:
    """What an engine sampled, made for grpo; `taught`: with a teacher's opinion of it."""
    pack, _ = packed(seed)
    for i, sample in enumerate(pack.samples):
        sample.reward = float(i % 3 == 0)
    zero = [0.0] * len(pack.term_token)
    return msgspec.structs.replace(pack, step=step, ce_weight=zero, kl_weight=pack.kl_weight if taught else zero)


def shown(seed: int, step: int = 0, **fields: Any) -> Pack:
    """Demonstrations under the same trajectories' names, made for sft: nothing in them is an engine's."""
    pack, _ = make_pack(seed, trees=3)
    zero = [0.0] * len(pack.term_token)
    ce = [weight or 0.5 for weight in pack.ce_weight]
    made = {"rl_weight": zero, "kl_weight": zero, "ce_weight": ce, "engine_logprob": None, "teacher_logprob": None}
    return msgspec.structs.replace(pack, id=f"shown{seed}", objective="sft", step=step, **(made | fields))


def trained(name: str, settings: LossSettings, packs: list[Pack], budget: int = 0, **more: Any) -> tuple[float, Any]:
    """The loss and all gradients of one step."""
    model = tiny_model(1)
    objective = TrainObjective(name, ObjectiveOptions(loss=settings, **more))
    trainer = Trainer(TreeLM(model), None, objective, Optimizer(), budget)
    for pack in packs:
        trainer.accept(pack)
    (step,) = steps(packs, objective.reducer, by_objective=objective.by_objective)
    outputs = trainer.gradients(step)
    assert all(bool(values.isfinite().all()) for out in outputs for values in out.metrics.values())
    return sum(float(out.loss) for out in outputs), gradients(model)


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "plain": ("grpo", {}, {}),
    "icepop-stale": ("grpo", {"off_policy": "icepop", "icepop_low": 0.8, "icepop_high": 1.3, "max_staleness": 1}, {}),
    "turn-tis": ("gspo", {"segment": "turn", "off_policy": "tis", "tis_clip": 1.1, "clip_low": 0.02}, {}),
    "sequence": ("gspo", {"segment": "sequence", "clip_low": 0.02, "clip_high": 0.03}, {}),
    "rescaled": ("grpo", {}, {"difficulty_weight": 0.8, "entropy_weight": 0.5}),
    "kl": ("mixed", {"kl_ref": 0.3}, {}),
    "taught": ("mixed", {"opd_weight": 0.5}, {}),
    "taught-turn": ("mixed", {"opd_weight": 0.5, "segment": "turn"}, {}),
}


@pytest.mark.usefixtures("model_in_fp64")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("budget", [0, 9])
def test_a_mixed_step_is_the_sum_of_two_losses_trained_apart(case: str, budget: int) -> None:
    alone, options, more = CASES[case]
    rl, sft = [sampled(1, taught=case.startswith("taught"))], [shown(1)]
    settings = LossSettings(**options, mix_rl=RL, mix_ce=CE)
    objective = TrainObjective("mixed", ObjectiveOptions(loss=settings))
    loss, got = trained("mixed", settings, [*rl, *sft], budget, **more)
    rl_loss, rl_gradient = trained(alone, settings, rl, budget, **more)
    ce_loss, ce_gradient = trained("sft", settings, sft, budget, reducer=objective.reducer)
    share = 1.0 if alone == "mixed" else RL  # mixed has put it on already
    assert loss == pytest.approx(share * rl_loss + CE * ce_loss, rel=1e-12)
    expected = {name: share * rl_gradient[name] + CE * ce_gradient[name] for name in rl_gradient}
    assert worst(got, expected) <= 1e-11
    assert worst(got, rl_gradient) > 1e-2, "the demonstrations train something"


def test_denominators_are_each_objectives_own() -> None:
    rl, sft = sampled(1), shown(2)
    (step,) = steps([rl, sft], "token-mean", by_objective=True)
    assert [float(row.scale.sum()) for row in step.rows] == pytest.approx([1.0, 1.0])
    assert step.counts.trained_tokens == len(rl.term_token) + len(sft.term_token)
    (alone,) = steps([rl], "token-mean")
    assert torch.equal(step.rows[0].scale, alone.rows[0].scale)
    (batch,) = steps([rl, sft], "token-mean", batch_packs=2, by_objective=True)
    assert [float(row.scale.sum()) for row in batch.rows] == pytest.approx([1.0, 1.0])


def test_samples_of_one_name_stay_apart() -> None:
    """A demonstration may be the very trajectory that reinforcement learns from."""
    (step,) = steps([sampled(1), shown(1)], "seq-mean-token-mean", by_objective=True)
    one, other = (row.segment_sample.unique() for row in step.rows)
    assert not set(one.tolist()) & set(other.tolist())
    assert not set(step.rows[0].segment_turn.tolist()) & set(step.rows[1].segment_turn.tolist())


def names(made: Step) -> list[str]:
    return [row.id for row in made.rows]


def test_files_one_after_the_other_meet_by_step_number() -> None:
    packs = [sampled(1), sampled(2, step=1), shown(1), shown(2, step=1), shown(3, step=2), sampled(4)]
    made = list(steps(packs, "token-mean", by_objective=True))
    assert list(map(names, made)) == [["pack1", "shown1"], ["pack2", "shown2"], ["shown3"], ["pack4"]]
    plain = list(steps(packs, "token-mean"))
    assert list(map(names, plain)) == [["pack1"], ["pack2"], ["shown1"], ["shown2"], ["shown3"], ["pack4"]]


def test_a_step_of_demonstrations_alone_needs_no_engine() -> None:
    settings = LossSettings(off_policy="icepop", max_staleness=2, mix_ce=1.0)
    _, got = trained("mixed", settings, [shown(1)])
    _, expected = trained("sft", settings, [shown(1)])
    assert worst(got, expected) <= 1e-12


def test_ages_count_from_the_newest_weights_of_the_whole_step() -> None:
    old = sampled(1)
    version = ["7"] * len(shown(2).term_token)
    (step,) = steps([old, shown(2, version=version, rl_weight=[1.0] * len(version))], "token-mean", by_objective=True)
    age = step.rows[0].age
    assert age is not None and age.min() == 7 - 3


def test_what_an_engine_sampled_still_needs_its_log_probs() -> None:
    with pytest.raises(InputError, match="has no engine log-probs"):
        trained("mixed", LossSettings(), [msgspec.structs.replace(sampled(1), engine_logprob=None), shown(1)])
    with pytest.raises(InputError, match="nothing in it trains grpo"):
        trained("grpo", LossSettings(), [shown(1)])


def test_a_step_that_lacks_packs_is_bad_input_here_too() -> None:
    short = msgspec.structs.replace(shown(1), step_counts=StepCounts(trained_tokens=10_000))
    with pytest.raises(InputError, match="trained tokens"):
        list(steps([sampled(1), short], "token-mean", by_objective=True))


# ------------------------------------------------------------------------------------------------- by the commands


def attempts() -> list[Trajectory]:
    """Two groups of two attempts each, sampled by an engine."""
    chat, made = load(), []
    for group in range(2):
        prompt = chat.encode_prompt([{"role": "user", "content": f"Question {group}"}])
        for sample in range(2):
            answer = chat.encode_completion({"role": "assistant", "content": f"Answer {sample} of {group}"})
            nodes = [
                Node(id=0, role="user", token_ids=prompt),
                Node(id=1, parent=0, role="assistant", token_ids=answer, sampled=[(0, len(answer))],
                     engine_logprobs=[-1.5] * len(answer)),
            ]  # fmt: skip
            made.append(
                Trajectory(
                    id=f"t{group}{sample}", task_id=f"t{group}", group_id=f"t{group}", group_size=2,
                    sample_index=sample, scaffold=Scaffold(name="x"), model="m", tokenizer=chat.digest, nodes=nodes,
                    verdict=Verdict(reward=float(sample), passed=bool(sample)),
                )
            )  # fmt: skip
    return made


@pytest.mark.slow
def test_packs_of_two_commands_train_one_model(tmp_path: Path, model_folder: Path) -> None:
    text = [
        Sample(id=f"s{i}", messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": f"Say {i}"}])
        for i in range(4)
    ]
    for name, found in (("attempts", attempts()), ("shown", text)):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(encode(record) + b"\n" for record in found))
    train = f"kat-train --model {model_folder} --lr 0.01 --off-policy icepop --icepop-high 1e9 --icepop-low 0"
    line = f"""
        kat-pack-trie --for grpo --groups-per-step 1 --model {model_folder} attempts.jsonl -o rl.jsonl
        kat-pack-trie --for sft --groups-per-step 2 --model {model_folder} shown.jsonl -o sft.jsonl
        {train} --objective mixed --mix-ce 0.25 rl.jsonl sft.jsonl --out both
        {train} --objective mixed rl.jsonl --max-steps 1 --out rl
        {train} --objective sft sft.jsonl --max-steps 1 --out sft
    """
    done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = {
        name: [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("both", "rl", "sft")
    }
    both, rl, sft = (lines[name][0] for name in ("both", "rl", "sft"))
    assert both["loss"] == pytest.approx(rl["loss"] + 0.25 * sft["loss"], rel=1e-6)
    assert both["tokens_trained"] == rl["tokens_trained"] + sft["tokens_trained"]
    assert [line["step"] for line in lines["both"]] == [1, 2]
    assert {"nll", "clip_high", "engine_kl", "icepop_masked"} <= both.keys()
    assert all(math.isfinite(value) for value in both.values() if isinstance(value, float))
