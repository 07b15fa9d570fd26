"""The Triton kernels compile to SASS for GPUs that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

SCRIPT = ROOT / "benchmarks/gpu/compile_tree_attention.py"


@pytest.mark.slow
def test_kernels_compile_for_ampere_and_hopper(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, str(SCRIPT), "--quick", "--json", str(tmp_path / "rows.json")]
    subprocess.run(command, check=True, env=environment | {"TRITON_CACHE_DIR": str(tmp_path / "cache")})
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {(row["kernel"], row["sm"]) for row in rows} == {
        (f"{name}_kernel", sm) for name in ("forward", "delta", "d_q", "d_kv", "_bounds", "_rows") for sm in (80, 90)
    }
    for row in rows:
        assert row["fits"] and row["spilled_bytes"] < 128
