"""Two processes under DeepSpeed are one: every ZeRO stage, unequal trees, tied embeddings, `kill -9` and resuming.

Real processes talk over gloo. The reference is the same training in one process, without DeepSpeed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from katcore import records
from katcore.errors import InputError
from katcore.train.options import TrainOptions
from katcore.train.trainer import Trainer
from tests.support import ROOT
from tests.support.ports import free_port
from tests.support.train_command import kat_train, metrics
from tests.support.zero_worker import step_of

TOLERANCE = 1e-5
NEVER_FINALIZED = "import atexit, os; atexit.register(os.abort); from katcli.train import main; main()"
"""kat-train in a Python whose end aborts, as threads of DeepSpeed's groups make it do where the machine is busy."""


def two(*command: object, **kwargs: Any) -> list[subprocess.Popen[str]]:
    """The command as rank 0 and rank 1, as a launcher would start it."""
    common = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "WORLD_SIZE": "2"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        subprocess.Popen(
            [*map(str, command)], env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs,
        )
        for rank in range(2)
    ]  # fmt: skip


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each."""
    found = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=300)
            found.append((process.returncode, out, err))
    finally:
        for process in processes:
            process.kill()
    return found


@pytest.mark.slow
def test_two_processes_train_as_one() -> None:
    cases = ["1:qwen3:sft", "2:qwen3:sft", "3:qwen3:gspo", "3:qwen3-moe:grpo", "3:qwen3-moe:balanced"]
    (code, out, err), other = ended(two(sys.executable, "-m", "tests.support.zero_worker", *cases, cwd=ROOT))
    assert (code, other[0]) == (0, 0), err + other[2]
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["case"] for each in found] == cases
    for each in found:
        assert each["metrics"] <= TOLERANCE and each["weights"] <= TOLERANCE, each
        assert each["empty"] > 0 and each["tied"], each  # ranks whose trees have different shapes


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    path = tmp_path / "packs.jsonl"
    made = [pack for number, count in enumerate((3, 1)) for pack in step_of(number, count)]
    path.write_bytes(b"".join(records.encode(pack) + b"\n" for pack in made))
    return path


def deepspeed_file(tmp_path: Path, **table: Any) -> Path:
    path = tmp_path / "ds.json"
    path.write_text(json.dumps(table))
    return path


@pytest.mark.slow
def test_killed_under_zero_and_resumed_the_losses_are_the_same(tmp_path: Path, packs: Path, model_folder: Path) -> None:
    file = deepspeed_file(tmp_path, zero_optimization={"stage": 3, "stage3_param_persistence_threshold": 0})
    common = ("--model", model_folder, "--objective", "grpo", "--budget", 12, "--epochs", 3, "--lr", "1e-3")
    common = (*common, "--save-every", 2)
    zero = (packs, *common, "--deepspeed", file)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    launcher = ("deepspeed", "--no_python", "--no_local_rank", "--num_gpus", "2", "--master_port", free_port())
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(
        [*map(str, (*launcher, "kat-train", *zero, "--out", whole, "-q"))],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    running = two("kat-train", *zero, "--out", cut, "-q")
    path = cut / "metrics.jsonl"
    while all(process.poll() is None for process in running):
        if path.exists() and path.read_bytes().count(b"\n") >= 3:
            break
        time.sleep(0.01)
    for process in running:
        process.send_signal(signal.SIGKILL)
    assert [code for code, *_ in ended(running)] == [-signal.SIGKILL] * 2
    kat = (sys.executable, "-c", NEVER_FINALIZED)
    (code, out, err), other = ended(two(*kat, *zero, "--out", cut, "--resume"))
    assert (code, out, other[0], other[1], other[2]) == (0, "", 0, "", ""), err + other[2]
    same = ("step", "loss", "grad_norm", "entropy", "tokens_computed")
    assert [[m[k] for k in same] for m in metrics(cut)] == [[m[k] for k in same] for m in metrics(whole)]
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not list(cut.glob("*.tmp"))


@pytest.mark.slow
def test_several_processes_want_a_deepspeed_file(tmp_path: Path, packs: Path, model_folder: Path) -> None:
    environment = os.environ | {"RANK": "0", "WORLD_SIZE": "2"}
    done = kat_train(packs, "--model", model_folder, "--out", tmp_path / "out", env=environment)
    assert done.returncode == 2 and "--deepspeed" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_rank_0_speaks_and_both_end_with_the_code(tmp_path: Path, packs: Path, model_folder: Path) -> None:
    file = deepspeed_file(tmp_path, gradient_accumulation_steps=8)
    kat = (sys.executable, "-c", NEVER_FINALIZED)
    first, other = ended(two(*kat, packs, "--model", model_folder, "--out", tmp_path / "out", "--deepspeed", file))
    assert (first[0], other[0]) == (4, 4)
    assert "gradient_accumulation_steps" in first[2] and other[2] == ""
    assert first[1] == other[1] == ""


@pytest.mark.parametrize("stage", [1, 2])
def test_a_checkpoint_wants_the_layout_that_wrote_it(model_folder: Path, stage: int) -> None:
    trainer = Trainer.load(model_folder, TrainOptions(objective="sft"))
    state = trainer.state() | {"ranks": f"2 processes of ZeRO stage {stage}"}
    with pytest.raises(InputError, match=f"2 processes of ZeRO stage {stage}"):
        trainer.restore(state)
