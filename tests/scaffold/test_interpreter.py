"""Interpreters of other versions: found on this machine or made of Debian's packages, and what they start sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from katcore.errors import KatError
from katcore.sandbox import SCAFFOLD, Mount, Spec, sandbox
from katcore.scaffold import interpreter
from katcore.scaffold.interpreter import SUITES, ensure_python

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
ASK = (
    "import ssl, sys; "
    "print('%d.%d' % sys.version_info[:2], sys.prefix, [p for p in sys.path if p.endswith('-packages')])"
)


@pytest.fixture
def no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine that has no interpreter but its own."""
    monkeypatch.setenv("KAT_CACHE", str(tmp_path))
    monkeypatch.setattr(interpreter, "_of_this_machine", lambda version: None)
    return tmp_path / "scaffold"


def said(folder: Path) -> list[str]:
    done = subprocess.run([folder / "bin/python3", "-I", "-c", ASK], capture_output=True, text=True, check=True, env={})
    return done.stdout.split(maxsplit=2)


def test_one_of_this_machine_runs_from_the_cache_alone(cache: str) -> None:
    folder = ensure_python(HERE)
    assert folder.is_relative_to(cache) and ensure_python(HERE) == folder
    done = subprocess.run(
        [folder / "bin/python3", "-I", "-c", ASK], capture_output=True, text=True, check=False, env={}
    )
    assert done.stdout.split(maxsplit=2) == [HERE, str(folder), "[]\n"], done.stderr


def test_in_a_box_what_it_starts_sees_nothing_of_it(cache: str) -> None:
    box = sandbox().create(Spec("python", mounts=(Mount(ensure_python(HERE), f"{SCAFFOLD}/python"),)))
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(7)']); subprocess.run(['env'])"
    try:
        plain = box.exec(["env"], cwd="/tmp").stdout
        done = box.exec([f"{SCAFFOLD}/python/bin/python3", "-I", "-c", child], cwd="/tmp")
    finally:
        box.close()
    assert done.stdout.startswith(b"7\n"), done.stderr
    more = {line.partition(b"=")[0] for line in set(done.stdout[2:].splitlines()) - set(plain.splitlines())}
    assert more <= {b"PWD", b"OLDPWD", b"SHLVL", b"_"}, "a shell's own"


def test_a_version_that_nobody_has_is_one_line(no_other: Path) -> None:
    with pytest.raises(KatError) as error:
        ensure_python("3.8")
    assert str(error.value) == "there is no Python 3.8 on this machine" and "uv python install 3.8" in error.value.hint
    assert not [path for path in no_other.iterdir() if not path.name.endswith(".lock")]


@pytest.mark.slow
def test_debians_packages_make_one(no_other: Path) -> None:
    version = max(SUITES, key=lambda each: int(each.partition(".")[2]))
    folder = ensure_python(version)
    done = subprocess.run(
        [folder / "bin/python3", "-I", "-c", ASK], capture_output=True, text=True, check=False, env={}
    )
    assert done.stdout.split(maxsplit=2) == [version, str(folder), "[]\n"], done.stderr
