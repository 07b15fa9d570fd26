"""Installing agents into the cache, from a package index that is a folder: whole or not at all, once, as pinned.

And what starts a console script from there, for real: with its own packages, which nothing that it starts can see.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcore.errors import KatError
from katcore.scaffold.install import ensure, fetched_later, installed_version, place
from katcore.scaffold.packages import npms_reason, pips_reason
from katcore.scaffold.table import Agent, arch, cpu
from katcore.source.pip_session import settings

AGENT = """
import os, subprocess, sys
def main():
    child = "import sys; print(sys.path)"
    seen = subprocess.run([sys.argv[1], "-c", child], capture_output=True, text=True, check=True).stdout
    print("tiny", sys.argv[0].rsplit("/")[-1], os.path.dirname(__file__) in seen, "PYTHONPATH" in os.environ)
    return 3
"""


def wheel(folder: Path, version: str) -> None:
    """A package with one module and one console script, and nothing to run at its installation."""
    info = f"tiny_agent-{version}.dist-info"
    with zipfile.ZipFile(folder / f"tiny_agent-{version}-py3-none-any.whl", "w") as file:
        file.writestr("tiny_agent.py", AGENT)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-agent\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntiny = tiny_agent:main\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "index"
    folder.mkdir()
    for version in ("1.0", "1.1"):
        wheel(folder, version)
    monkeypatch.setenv("KAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    settings.cache_clear()
    yield folder
    settings.cache_clear()


def agent(version: str = "1.0", pin: str = "{version}", **more: object) -> Agent:
    given: dict[str, Any] = {"program": ("x",), **more}
    return Agent(args=(), version=version, pip=(f"tiny-agent=={pin}",), **given)


def installed(row: Agent, name: str = "tiny") -> Path:
    return ensure(name, row)["agent"]


def entries(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "scaffold").iterdir() if not path.name.endswith(".lock"))


def test_it_is_installed_once_as_pinned(tmp_path: Path, index: Path) -> None:
    folder = installed(agent())
    assert folder == place(agent()) and folder.name.startswith("tiny-agent-1.0-")
    assert (folder / "tiny_agent.py").is_file() and installed_version(agent(), folder) == "1.0"
    for file in index.iterdir():
        file.unlink()
    assert installed(agent()) == folder, "no index is asked again"
    assert entries(tmp_path) == [folder.name]


def test_another_pin_is_another_entry() -> None:
    assert installed(agent("1.1")) != installed(agent("1.0"))


def test_two_at_once_install_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    real = subprocess.run

    def counted(*args: object, **options: object) -> object:
        started.append(args)
        return real(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("katcore.scaffold.packages.subprocess.run", counted)
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
    assert not (installed(agent(remove=("tiny_agent.py",))) / "tiny_agent.py").exists()


def test_the_version_of_an_npm_package_is_read_from_its_folder(tmp_path: Path) -> None:
    row = Agent(program=("x",), args=(), version="2.0", npm=("@some/agent-linux-{arch}@{version}",))
    assert installed_version(row, tmp_path) == ""
    folder = tmp_path / "node_modules" / "@some" / f"agent-linux-{arch()}"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"version": "2.0"}))
    assert installed_version(row, tmp_path) == "2.0"


def test_rows_of_one_package_share_it(tmp_path: Path) -> None:
    assert installed(agent(), "one") == installed(agent(env={"A": "b"}), "two")
    assert len(entries(tmp_path)) == 1


def test_a_console_script_starts_with_its_packages_and_shows_them_to_nobody() -> None:
    folder = installed(agent(program=(), script="tiny"))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o555)
    argv = [word.format(python=sys.executable, agent=folder) for word in agent(program=(), script="tiny").command]
    done = subprocess.run([*argv, sys.executable], capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stdout, done.stderr) == (3, "tiny tiny False False\n", "")


def test_a_console_script_that_is_not_there_is_named() -> None:
    with pytest.raises(KatError, match="tiny-agent has no console script teeny; it has tiny"):
        installed(agent(program=(), script="teeny"))


def source(folder: Path, name: str, files: dict[str, str]) -> None:
    """A source release whose setup would leave a trace."""
    with tarfile.open(folder / f"{name}-2.0.tar.gz", "w:gz") as tar:
        for path, text in {"setup.py": f"open('{folder}/ran', 'w')", **files}.items():
            data = text.encode()
            info = tarfile.TarInfo(f"{name}-2.0/{path}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_a_package_that_is_source_alone_is_unpacked_and_nothing_of_it_runs(index: Path) -> None:
    metadata = "Metadata-Version: 2.1\nName: only-source\nVersion: 2.0\n"
    source(index, "only-source", {"PKG-INFO": metadata, "src/only/__init__.py": "X = 1\n", "tests/__init__.py": ""})
    row = agent(sources=("only-source==2.0",))
    folder = installed(
        Agent(program=("x",), args=(), version="1.0", pip=(*row.pip, "only-source"), sources=row.sources)
    )
    assert (folder / "only/__init__.py").read_text() == "X = 1\n" and not (folder / "tests").exists()
    assert (folder / "only_source-2.0.dist-info").is_dir() and not (index / "ran").exists()


def test_a_source_with_modules_to_compile_is_refused(index: Path) -> None:
    source(index, "fast-source", {"PKG-INFO": "Name: x\n", "fast/__init__.py": "", "fast/speed.c": "int x;"})
    with pytest.raises(KatError, match=r"fast-source 2\.0: .* modules to compile"):
        installed(agent(sources=("fast-source==2.0",)))


PIP = """ERROR: Ignored the following yanked versions: 0.1
ERROR: Ignored the following versions that require a different python version: 1.0 Requires-Python >=3.12; 1.1 Requires-Python >=3.12
ERROR: Could not find a version that satisfies the requirement kimi-cli==1.0 (from versions: 0.1, 0.2)
ERROR: No matching distribution found for kimi-cli==1.0"""  # fmt: skip  # noqa: E501
NPM = """npm error code ETARGET
npm error notarget No matching version found for left-pad@99.0.0.
npm error notarget In most cases you or one of your dependencies are requesting
npm error notarget a package version that doesn't exist.
npm error A complete log of this run can be found in: /root/.npm/_logs/x.log"""


def test_the_reason_is_the_package_managers_own() -> None:
    said = pips_reason(PIP.splitlines())
    assert said.startswith("No matching distribution found for kimi-cli==1.0; ")
    assert "versions for Python >=3.12: a row names its Python with `python`" in said and "yanked" not in said
    said = npms_reason(NPM.splitlines())
    assert said.startswith("No matching version found for left-pad@99.0.0.") and said.endswith("ETARGET")
    assert "_logs" not in said and "code" not in said


def npm_package(folder: Path, scripts: dict[str, str], files: dict[str, str]) -> Agent:
    package = folder / "node_modules/@some/agent"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": "2.0", "scripts": scripts}))
    for name, text in files.items():
        (package / name).write_text(text)
    return Agent(program=("x",), args=(), version="2.0", npm=("@some/agent@{version}",))


def test_a_package_that_fetches_its_program_is_told(tmp_path: Path) -> None:
    fetches = "const https = require('https'); https.get(url, save)"
    row = npm_package(tmp_path / "a", {"postinstall": "node install.js"}, {"install.js": fetches})
    said = fetched_later(row, tmp_path / "a")
    assert (
        said.startswith("the npm package @some/agent fetches its program from elsewhere") and "node install.js" in said
    )
    files = {"install.js": "require('./lib').install()", "lib.js": fetches}
    assert fetched_later(npm_package(tmp_path / "b", {"install": "node install.js"}, files), tmp_path / "b")
    row = npm_package(tmp_path / "c", {"postinstall": "node note.js"}, {"note.js": "console.log('thanks')"})
    assert fetched_later(row, tmp_path / "c") == ""


def test_a_program_that_the_package_lacks_is_told_at_once(tmp_path: Path) -> None:
    there = ("{agent}/tiny_agent.py", "{agent}/{arch}/{cpu}")
    with pytest.raises(KatError) as error:
        installed(agent(program=there))
    assert str(error.value) == f"tiny: no program {arch()}/{cpu()}: it is not in tiny-agent 1.0"
    assert installed(agent(program=there[:1]))
