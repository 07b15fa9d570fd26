"""What all tests share: an environment of their own, so that nothing of the machine's user is read or written."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

# Triton kernels run in its interpreter, which must be chosen before triton is imported; `make test-gpu` chooses 0.
os.environ.setdefault("TRITON_INTERPRET", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: commands would rightly ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


ENGINE = "KAT_TEST_ENGINE"
"""Environment variable: the folder of the Docker engine that the tests of this run share."""


def pytest_configure(config: pytest.Config) -> None:
    """The process that hands out tests chooses where the engine lies; its workers inherit the choice.

    Generated examples have no deadline: a busy machine is no failure.
    """
    if importlib.util.find_spec("hypothesis"):  # not where only kernels are tested
        from hypothesis import settings

        settings.register_profile("kat", deadline=None)
        settings.load_profile("kat")
    if not hasattr(config, "workerinput"):
        os.environ[ENGINE] = f"{tempfile.gettempdir()}/kat-engine-{secrets.token_hex(6)}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the engine if a test started it."""
    if hasattr(config, "workerinput"):
        return
    folder = os.environ.pop(ENGINE, "")
    if Path(folder, "lock").exists():
        subprocess.run([ROOT / "scripts" / "docker-engine", "stop", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test is a failure: what cannot be tested here must be said, not passed over."""
    if skipped(session.config) and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which."""
    for report in skipped(config):
        terminalreporter.write_line(f"SKIPPED, which is a failure: {report.nodeid}")


def skipped(config: pytest.Config) -> list[Any]:
    """The reports of skipped tests and modules, of all workers, where the results come together."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    return list(reporter.stats.get("skipped", [])) if reporter and not hasattr(config, "workerinput") else []


@pytest.fixture(scope="session")
def shared_engine() -> str:
    """The DOCKER_HOST of a real engine: the one that is named from outside, else one that this run starts."""
    if named := os.environ.get("DOCKER_HOST"):
        return named
    command = [ROOT / "scripts" / "docker-engine", "start", os.environ[ENGINE]]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def engine(shared_engine: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Docker engine answers, and is the one that KAT finds."""
    monkeypatch.setenv("DOCKER_HOST", shared_engine)
    return shared_engine


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No KAT_* setting of the user, the commands of this installation first on the path."""
    for name in [name for name in os.environ if name.startswith("KAT_") and name not in ("KAT_CACHE", ENGINE)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))
