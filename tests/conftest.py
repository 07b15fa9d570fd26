"""What all tests share: an environment of their own, so that nothing of the machine's user is read or written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Triton kernels run in its interpreter, which must be chosen before triton is imported; `make test-gpu` chooses 0.
os.environ.setdefault("TRITON_INTERPRET", "1")

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`$KAT_CACHE`: shared by all tests and workers of a session, so that an environment is built once."""
    before = os.environ.get("KAT_CACHE")
    folder = Path(before) if before else tmp_path_factory.getbasetemp().parent / "kat-cache"
    os.environ["KAT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["KAT_CACHE"]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No KAT_* setting of the user, the commands of this installation first on the path."""
    for name in [name for name in os.environ if name.startswith("KAT_") and name != "KAT_CACHE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))
