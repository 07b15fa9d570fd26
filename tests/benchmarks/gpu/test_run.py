"""The runner of the GPU benchmarks: what it files of scripts that end well, fail, hang or print nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import run as runner
from tests.support import ROOT, gpu_checks

MACHINE = {"gpu": "NVIDIA H200 SXM", "torch": "2.11"}
GOOD = """
import sys, json
assert sys.argv[1] == "--quick" and sys.argv[2] == "--json"
open(sys.argv[3], "w").write(json.dumps({"ms": 8.5}))
print("8.5 ms")
"""


def made(folder: Path, **sources: str) -> list[Path]:
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return [folder / f"{name}.py" for name in sources]


def test_a_result_has_numbers_output_commit_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_COMMIT", "abc1234")
    assert runner.run_all(made(tmp_path, topic=GOOD), MACHINE, tmp_path, 60.0) == 0
    (raw,) = tmp_path.glob("*.json")
    assert raw.stem.endswith("_h200-sxm_topic")
    found = json.loads(raw.read_text())
    assert found["numbers"] == {"ms": 8.5} and found["commit"] == "abc1234" and found["hardware"] == MACHINE
    text = raw.with_suffix(".md").read_text()
    assert "8.5 ms" in text and "abc1234" in text and "NVIDIA H200 SXM" in text and ": done after" in text


@pytest.mark.slow
def test_failures_and_time_outs_are_filed_and_do_not_stop_the_rest(tmp_path: Path) -> None:
    hang = "import time\nprint('started', flush=True)\ntime.sleep(60)"
    scripts = made(tmp_path, bad="print('half')\nraise SystemExit(3)", good=GOOD, hang=hang)
    assert runner.run_all(scripts, MACHINE, tmp_path, 4.0) == 1
    found = {raw.stem.rpartition("_")[2]: json.loads(raw.read_text()) for raw in tmp_path.glob("*.json")}
    assert {name: x["exit"] for name, x in found.items()} == {"bad": 3, "good": 0, "hang": None}
    assert "half" in found["bad"]["output"] and found["bad"]["numbers"] is None
    assert "started" in found["hang"]["output"]


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks/gpu").glob("*.py")), ids=lambda path: path.stem)
def test_every_script_takes_what_the_runner_gives(script: Path) -> None:
    """All its imports and options, up to the point where a GPU is asked for."""
    command = [ROOT / "scripts/from-source", sys.executable, script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if script.name != "run.py":
        assert "--quick" in done.stdout and "--json" in done.stdout


def test_the_gpu_checks_have_every_backend_head_size_and_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list that `make test-gpu` runs on a GPU that takes everything."""
    monkeypatch.setattr(gpu_checks, "refusal", lambda *_: "")
    names = [name for name, _ in gpu_checks.cases()]
    assert len(set(names)) == len(names)
    for backend in ("segments", "triton", "fa4"):
        for size in (64, 128, 256):
            for dtype in ("float32", "bfloat16", "float16", "bfloat16 window", "float32 window"):
                assert f"attention {backend} {size} torch.{dtype}" in names
            assert f"attention {backend} {size} bf16 error" in names
    assert {"attention flex 64 torch.bfloat16", "attention flex 128 torch.bfloat16 window"} <= set(names)
    assert {"head fold torch.bfloat16", "head fold workspace", "attention auto takes a fast backend"} <= set(names)
