"""Whole runs through the real command: folders, metrics, limits, and `kill -9` in the middle."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from katcore import records
from katcore.errors import InputError, UsageError
from katcore.model.tree_lm import TreeLM
from katcore.records import Pack
from katcore.train.options import ObjectiveOptions, Optimizer, TrainOptions
from katcore.train.run import Plateau, check, fit
from katcore.train.trainer import Trainer
from tests.support.random_packs import make_pack
from tests.support.train_command import kat_train, metrics

SIZES: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}


def write_packs(path: Path, count: int, **fields: Any) -> Path:
    packs = [msgspec.structs.replace(make_pack(seed)[0], objective="sft", step=seed, **fields) for seed in range(count)]
    path.write_bytes(b"".join(records.encode(pack) + b"\n" for pack in packs))
    return path


@pytest.mark.slow
def test_a_run_leaves_a_model_that_transformers_loads(tmp_path: Path, model_folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    packs, out = write_packs(tmp_path / "p.jsonl", 3), tmp_path / "out"
    done = kat_train(packs, "--model", model_folder, "--out", out, "--epochs", 4, "--lr", 1e-3, "--save-every", 5)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    lines = metrics(out)
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert lines[-1]["loss"] < lines[2]["loss"]
    assert lines[0]["tokens_unique"] < lines[0]["tokens_flat"]
    assert {"loss", "lr", "grad_norm", "entropy", "seconds", "tokens_trained"} <= lines[0].keys()
    assert (out / "latest").readlink() == Path("step-12")
    assert {path.name for path in out.glob("step-*")} == {"step-10", "step-12"}
    trained, start = (AutoModelForCausalLM.from_pretrained(folder) for folder in (out, model_folder))
    newest = AutoModelForCausalLM.from_pretrained(out / "latest")
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), newest.parameters()))
    assert not torch.equal(trained.lm_head.weight, start.lm_head.weight)
    assert (
        AutoTokenizer.from_pretrained(out)("text").input_ids
        == AutoTokenizer.from_pretrained(model_folder)("text").input_ids
    )


@pytest.mark.slow
def test_killed_anywhere_and_resumed_the_losses_are_the_same(tmp_path: Path, model_folder: Path) -> None:
    packs, whole, cut = write_packs(tmp_path / "p.jsonl", 5), tmp_path / "whole", tmp_path / "cut"
    options = ("--model", model_folder, "--epochs", 40, "--lr", 1e-3, "--save-every", 3, "--schedule", "cosine")
    options += ("--max-steps", 200, "--warmup", 7)
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    assert kat_train(packs, "--out", whole, *options, env=one_thread).returncode == 0
    kills, rng = 0, random.Random(1)
    for wanted in (2, 40, 41, 120):
        process = subprocess.Popen(
            ["kat-train", str(packs), "--out", str(cut), "--resume", "-q", *map(str, options)], env=one_thread
        )
        path = cut / "metrics.jsonl"
        while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < wanted):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.05))  # somewhere in a step, or in the middle of a checkpoint
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills == 4
    done = kat_train(packs, "--out", cut, "--resume", *options, env=one_thread)
    assert done.returncode == 0, done.stderr
    same = ("step", "loss", "lr", "grad_norm", "entropy")
    assert [[m[k] for k in same] for m in metrics(cut)] == [[m[k] for k in same] for m in metrics(whole)]
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not list(cut.glob("*.tmp"))


@pytest.mark.slow
def test_resuming_a_finished_run_takes_no_step(tmp_path: Path, model_folder: Path) -> None:
    packs, out = write_packs(tmp_path / "p.jsonl", 2), tmp_path / "out"
    assert kat_train(packs, "--model", model_folder, "--out", out).returncode == 0
    before = (out / "metrics.jsonl").read_bytes()
    again = kat_train(packs, "--model", model_folder, "--out", out)
    assert again.returncode == 2 and "--resume" in again.stderr
    assert kat_train(packs, "--model", model_folder, "--out", out, "--resume").returncode == 0
    assert (out / "metrics.jsonl").read_bytes() == before
    other = write_packs(tmp_path / "q.jsonl", 1)
    assert kat_train(other, "--model", model_folder, "--out", out, "--resume").returncode == 4


@pytest.mark.slow
def test_no_packs_is_bad_input_and_leaves_nothing(tmp_path: Path, model_folder: Path) -> None:
    out = tmp_path / "out"
    done = kat_train("--model", model_folder, "--out", out, input="")
    assert done.returncode == 4 and "no packs" in done.stderr
    assert not list(out.glob("*"))


@pytest.mark.parametrize(
    ("fields", "objective", "message"),
    [
        ({"tokenizer": "f" * 64}, "sft", "tokenizer"),
        ({"engine_logprob": None}, "grpo", "engine log-probs"),
        ({"teacher_logprob": None}, "opd", "teacher"),
        ({"rl_weight": [0.0] * len(make_pack(0)[0].term_token)}, "grpo", "trains grpo"),
    ],
)
def test_packs_that_cannot_be_learned_from(
    tmp_path: Path, model_folder: Path, fields: dict[str, Any], objective: str, message: str
) -> None:
    pack = msgspec.structs.replace(make_pack(0)[0], **({"objective": "sft"} | fields))
    with pytest.raises(InputError, match=message):
        fit(TrainOptions(objective=objective, model=model_folder), [pack], tmp_path / "out")


@pytest.mark.parametrize("token", [-100, 4096, 10**6])
def test_a_token_that_the_model_has_not_is_bad_input(token: int, tmp_path: Path, model_folder: Path) -> None:
    pack = make_pack(0)[0]
    pack.tokens[1] = token
    options = TrainOptions(objective="grpo", model=model_folder)
    with pytest.raises(InputError, match=f"pack pack0: {token} is no token id: the model has 4096 tokens") as error:
        fit(options, [pack], tmp_path / "out")
    assert error.value.code == 4
    smaller = TreeLM(Qwen3ForCausalLM(Qwen3Config(**SIZES, vocab_size=3)))
    trainer = Trainer.load(model_folder, options)
    trainer.passes.reference = smaller
    with pytest.raises(InputError, match="the model has 3 tokens"):
        trainer.accept(make_pack(0)[0])


def test_a_metric_that_is_no_number_is_null(tmp_path: Path, model_folder: Path) -> None:
    """An engine that is very far away: the ratio overflows, the loss does not."""
    pack = make_pack(0)[0]
    assert pack.engine_logprob is not None
    pack.engine_logprob[0] = -1000.0
    fit(TrainOptions(objective="grpo", model=model_folder), [pack], tmp_path / "out")
    text = (tmp_path / "out" / "metrics.jsonl").read_text()
    assert "Infinity" not in text and "NaN" not in text
    (line,) = metrics(tmp_path / "out")
    assert line["engine_ratio_max"] is None and line["engine_kl"] is None
    assert line["loss"] is not None and line["ratio"] == 1.0


@pytest.mark.slow
def test_a_plateau_ends_the_run_and_is_written_down(tmp_path: Path, model_folder: Path) -> None:
    packs, out = write_packs(tmp_path / "p.jsonl", 1), tmp_path / "out"
    options = ("--epochs", 0, "--lr", 0, "--plateau", "0.01@3")
    assert kat_train(packs, "--model", model_folder, "--out", out, *options).returncode == 0
    assert [line.get("stop") for line in metrics(out)] == [None] * 5 + ["plateau"]


@pytest.mark.parametrize("plateau", ["junk", "0.1", "0.1@", "@3", "0.1@0", "-1@3", "nan@3", "inf@3", "0.1@3.5"])
def test_a_bad_plateau_is_refused_before_anything_is_read(tmp_path: Path, model_folder: Path, plateau: str) -> None:
    with pytest.raises(UsageError, match="write REL@STEPS"):
        check(TrainOptions(model=model_folder, optimizer=Optimizer(epochs=1, plateau=plateau)))


def test_a_bad_plateau_leaves_nothing(tmp_path: Path, model_folder: Path) -> None:
    packs, out = write_packs(tmp_path / "p.jsonl", 1), tmp_path / "out"
    done = kat_train(packs, "--model", model_folder, "--out", out, "--plateau", "junk")
    assert done.returncode == 2 and "REL@STEPS" in done.stderr
    assert not list(out.glob("*"))


def test_what_a_plateau_is() -> None:
    rule = Plateau.parse("0.1@2")
    assert not rule.reached([4.0, 4.0, 3.0])  # too few
    assert not rule.reached([9.0, 4.0, 4.0, 3.0, 3.0])  # a quarter better
    assert rule.reached([4.0, 4.0, 3.7, 3.7])
    assert rule.reached([4.0, 4.0, 5.0, 5.0])


@pytest.mark.slow
def test_a_pipe_is_read_once_and_kept(tmp_path: Path, model_folder: Path) -> None:
    packs, out = write_packs(tmp_path / "p.jsonl", 2), tmp_path / "out"
    done = kat_train("--model", model_folder, "--out", out, "--epochs", 3, input=packs.read_text())
    assert done.returncode == 0
    assert len(metrics(out)) == 6


def test_in_memory_steps_of_the_loop_change_the_weights_in_place(tmp_path: Path, model_folder: Path) -> None:
    trainer = Trainer.load(model_folder, TrainOptions(objective="grpo", optimizer=Optimizer(lr=1e-3)))
    before = trainer.lm.head.detach().clone()
    pack: Pack = make_pack(0)[0]
    first = trainer.step([pack])
    assert first["step"] == 1 and first["ratio"] == 1.0 and first["clip_high"] == 0.0
    assert not torch.equal(before, trainer.lm.head)
    trainer.save(tmp_path / "v1")
    assert torch.equal(Trainer.load(tmp_path / "v1", TrainOptions(objective="sft")).lm.head, trainer.lm.head)
    with pytest.raises(InputError, match="no packs"):
        trainer.step([])


def test_several_updates_of_a_step_keep_one_old_policy(model_folder: Path) -> None:
    trainer = Trainer.load(
        model_folder,
        TrainOptions(objective="grpo", minimised=ObjectiveOptions(updates=3), optimizer=Optimizer(lr=3e-3)),
    )
    out = trainer.step([make_pack(0)[0]])
    assert out["ratio"] != 1.0
    assert out["clip_high"] + out["clip_low"] > 0
