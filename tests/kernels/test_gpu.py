"""The kernels on a real GPU; `make test-gpu` runs these, every other target leaves them out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

pytestmark = pytest.mark.gpu


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The checks are made where they can run; elsewhere there is only the test that says so."""
    if "check" in metafunc.fixturenames:
        found = []
        if torch.cuda.is_available():
            from tests.support import gpu_checks

            found = list(gpu_checks.cases())
        metafunc.parametrize("check", [check for _, check in found], ids=[name for name, _ in found])


def test_there_is_a_gpu() -> None:
    assert torch.cuda.is_available(), "no CUDA device: nothing of this can be tested here"


def test_a_kernel_proves_itself(check: Callable[[], None]) -> None:
    check()
