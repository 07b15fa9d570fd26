"""The whole pipe as one line: a history becomes tasks, attempts, verdicts, packs and a trained model."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.stage_inputs import real_changes

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cache")]

PIPE = (
    "kat-mine changes calc --range HEAD~2..HEAD | kat-build-env --runs 1 | kat-rollout --scaffold {scaffold}"
    " | kat-verify | tee graded.jsonl | kat-pack-trie --for sft | kat-train --objective sft --model {model} --out M2"
    " --max-steps 2"
)


def run(scaffold: str, folder: Path, model: Path) -> tuple[subprocess.CompletedProcess[str], list[float]]:
    """What the line ended with, and the rewards that passed through it."""
    real_changes(folder / "calc", 2)
    line = PIPE.format(scaffold=scaffold, model=model)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, capture_output=True, text=True, timeout=110
    )
    records = [json.loads(line) for line in (folder / "graded.jsonl").read_text().splitlines()]
    return done, [record["verdict"]["reward"] for record in records if record["schema"] == "kat.trajectory/1"]


def test_the_oracle_passes_and_is_learned_from(tmp_path: Path, model: Path) -> None:
    done, rewards = run("oracle", tmp_path, model)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert rewards == [1.0, 1.0]
    metrics = [json.loads(line) for line in (tmp_path / "M2" / "metrics.jsonl").read_text().splitlines()]
    assert metrics and all(line["tokens_trained"] > 0 for line in metrics)
    assert (tmp_path / "M2" / "model.safetensors").read_bytes() != (model / "model.safetensors").read_bytes()


def test_doing_nothing_fails_and_there_is_nothing_to_learn(tmp_path: Path, model: Path) -> None:
    done, rewards = run("nop", tmp_path, model)
    assert done.returncode == 4, done.stderr
    assert rewards == [0.0, 0.0]
    assert "kat-train: no packs" in done.stderr
    assert not list(tmp_path.glob("M2/*"))
