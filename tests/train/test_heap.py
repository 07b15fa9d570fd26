"""Memory that a training process keeps: what a step frees serves the next one, and counts as free."""

from __future__ import annotations

import subprocess
import sys

import pytest

from katcore.train.heap import keep_memory

STEPS = """
import resource, sys, torch
from katcore.train.heap import keep_memory, kept_bytes
if sys.argv[1] == "keep":
    assert keep_memory()
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    x = torch.ones(40 << 20, dtype=torch.uint8)
    del x
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, kept_bytes())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_a_step_uses_the_memory_of_the_one_before() -> None:
    said = {}
    for how in ("keep", "give back"):
        done = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True)
        said[how] = [int(word) for word in done.stdout.split()]
    (again, kept), (fresh, _) = said["keep"], said["give back"]
    assert again < 100 and kept >= 40 << 20
    assert fresh > 1000  # 40 MiB are 10,240 pages of 4 KiB


def test_a_machine_without_mallopt_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_memory()
