"""The GPU benchmark's forests and figures, and a whole run of it at tiny sizes on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import tree_attention as script
from katcore.records import Pack, encode
from katkernels.tree_attention import make_plan
from tests.support.forests import CHAIN, COMB, ROOTS, STARS, depths, paths


@pytest.mark.parametrize("end", [CHAIN, COMB, STARS], ids=["chain", "comb", "stars"])
def test_depths_and_paths(end: torch.Tensor) -> None:
    assert torch.equal(script.depths(end), depths(end))
    assert [script.path_of(end, leaf).tolist() for leaf in script.leaves(end).tolist()] == leaf_paths(end)


@pytest.mark.parametrize("por", [0.0, 0.3, 0.6, 0.85])
def test_synthetic_trees_have_the_por_asked_for(por: float) -> None:
    end = script.synthetic(2000, por)
    make_plan(end, len(end))  # subtrees nest
    flat = sum(len(script.path_of(end, leaf)) for leaf in script.leaves(end).tolist())
    assert abs(1 - len(end) / flat - por) < 0.02


def leaf_paths(end: torch.Tensor) -> list[list[int]]:
    return [path for i, path in enumerate(paths(end)) if int(end[i]) == i + 1]


def pack(end: torch.Tensor, name: str) -> Pack:
    parent = [path[-2] if len(path) > 1 else -1 for path in paths(end)]
    none: list[int] = []
    return Pack(
        id=name, objective="sft", tokens=[5] * len(end), parent=parent, depth=depths(end).tolist(), end=end.tolist(),
        term_token=none, term_sample=none, term_turn=none, rl_weight=[], ce_weight=[], kl_weight=[],
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_on_a_cpu(tmp_path: Path) -> None:
    (tmp_path / "packs.jsonl").write_bytes(
        b"".join(encode(pack(end, name)) + b"\n" for name, end in (("small", ROOTS), ("large", COMB)))
    )
    command = [
        sys.executable,
        str(script.__file__),
        "--device",
        "cpu",
        "--rounds",
        "1",
        "--packs",
        str(tmp_path / "packs.jsonl"),
    ]
    command += ["--json", str(tmp_path / "rows.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "FlashAttention runs on CUDA" in done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["backend"] for row in rows} == {"reference", "segments", "flat sdpa"}
    assert len({row["case"] for row in rows}) == 6
    packed = [row for row in rows if row["case"] == "pack large" and row["backend"] == "segments"]
    assert (packed[0]["tokens"], packed[0]["flat_tokens"]) == (len(COMB), sum(map(len, leaf_paths(COMB))))
    for row in rows:
        assert row["forward_ms"] > 0 and row["backward_ms"] > 0 and 0 < row["tile_efficiency"] <= 1
    reference = [row for row in rows if row["backend"] == "reference" and row["case"] == "synthetic 0.0"]
    assert reference[0]["tile_efficiency"] == pytest.approx((256 * 257 / 2) / 256**2, abs=1e-3)
