"""Every Triton kernel of the fused head compiles for Hopper without a GPU, and spills no registers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.mark.slow
def test_kernels_compile_for_sm_90(tmp_path: Path) -> None:
    program = ROOT / "tests/support/compile_linear_logprob.py"
    # An interpreted kernel has nothing to compile; an empty cache, or nothing would be compiled either.
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["kernel"] for row in rows} >= {"fold_tile", "logit_gradient"}
    for row in rows:
        assert row["target"].startswith("sm_90") and row["bytes"] > 0
        assert row["spilled"] == 0, row
