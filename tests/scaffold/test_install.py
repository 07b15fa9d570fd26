"""Installing agents into the cache, from a package index that is a folder: whole or not at all, once, as pinned."""

from __future__ import annotations

import json
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from katcore.errors import KatError
from katcore.scaffold.install import ensure, installed_version, place
from katcore.scaffold.table import Agent


def wheel(folder: Path, version: str) -> None:
    """A package with one module, and nothing to run at its installation."""
    info = f"tiny_agent-{version}.dist-info"
    with zipfile.ZipFile(folder / f"tiny_agent-{version}-py3-none-any.whl", "w") as file:
        file.writestr("tiny_agent.py", f"print('tiny {version}')\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-agent\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    for version in ("1.0", "1.1"):
        wheel(folder, version)
    monkeypatch.setenv("KAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def agent(version: str = "1.0", pin: str = "{version}", **more: object) -> Agent:
    return Agent(program=("x",), args=(), version=version, pip=(f"tiny-agent=={pin}",), **more)  # type: ignore[arg-type]


def entries(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "scaffold").iterdir() if not path.name.endswith(".lock"))


def test_it_is_installed_once_as_pinned(tmp_path: Path, index: Path) -> None:
    folder = ensure("tiny", agent())
    assert folder == place("tiny", agent()) and folder.name.startswith("tiny-1.0-")
    assert (folder / "tiny_agent.py").is_file() and installed_version(agent(), folder) == "1.0"
    for file in index.iterdir():
        file.unlink()
    assert ensure("tiny", agent()) == folder, "no index is asked again"
    assert entries(tmp_path) == [folder.name]


def test_another_pin_is_another_entry() -> None:
    assert ensure("tiny", agent("1.1")) != ensure("tiny", agent("1.0"))


def test_two_at_once_install_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    real = subprocess.run

    def counted(*args: object, **options: object) -> object:
        started.append(args)
        return real(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("katcore.scaffold.install.subprocess.run", counted)
    threads = [threading.Thread(target=ensure, args=("tiny", agent())) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len([args for args in started if "install" in str(args)]) == 1 and len(entries(tmp_path)) == 1


def test_a_version_that_is_not_to_be_had_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KatError) as error:
        ensure("tiny", agent("7.7"))
    assert "tiny-agent==7.7" in str(error.value) and "\n" not in str(error.value)
    assert entries(tmp_path) == []


def test_another_version_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KatError) as error:
        ensure("tiny", agent("1.0", pin="1.1"))
    assert "version 1.1 was installed, not 1.0" in str(error.value) and entries(tmp_path) == []


def test_files_are_taken_away(tmp_path: Path) -> None:
    assert not (ensure("tiny", agent(remove=("tiny_agent.py",))) / "tiny_agent.py").exists()


def test_the_version_of_an_npm_package_is_read_from_its_folder(tmp_path: Path) -> None:
    row = Agent(program=("x",), args=(), version="2.0", npm=("@some/agent-linux-{arch}@{version}",))
    assert installed_version(row, tmp_path) == ""
    from katcore.scaffold.table import arch

    folder = tmp_path / "node_modules" / "@some" / f"agent-linux-{arch()}"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"version": "2.0"}))
    assert installed_version(row, tmp_path) == "2.0"
