"""The command turns away a change whose answer is in the environment that it resolves: wheels of a local index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from katcore.records import Change, encode
from tests.support.projects import change

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
SOURCE = '''"""Greetings."""
def greeting(name):
    return "hello " + name
'''
FIXED = '''"""Greetings."""
def greeting(name):
    return "Hello, " + polite_form_of(name) + "!"
def polite_form_of(name):
    return " ".join(part.capitalize() for part in name.split())
'''
PYPROJECT = """
[project]
name = "Polite.Greeter"
version = "2.5"
dependencies = ["greeter-helper"]
[tool.pytest.ini_options]
testpaths = ["tests"]
"""
HELP = "def helped():\n    return True\n"
TESTS = "from greeter_helper import helped\nfrom polite import greeting\ndef test_helped(): assert helped()\n"
BASE = {"pyproject.toml": PYPROJECT, "polite.py": SOURCE, "tests/test_polite.py": TESTS}
HEAD = {"polite.py": FIXED, "tests/test_polite.py": TESTS + "def test_it(): assert greeting('ann') == 'Hello, Ann!'\n"}


@pytest.fixture
def mined(tmp_path: Path, cache: Path) -> Change:
    return change(tmp_path / "polite", BASE, HEAD, "Greeting capitalises names")


def wheel(folder: Path, **files: str) -> None:
    """The helper's only release, with other files beside its code."""
    folder.mkdir()
    info = "greeter_helper-1.0.dist-info"
    held = {"greeter_helper/__init__.py": HELP, **files}
    held[f"{info}/METADATA"] = "Metadata-Version: 2.1\nName: greeter-helper\nVersion: 1.0\n"
    held[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    held[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*held, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / "greeter_helper-1.0-py3-none-any.whl", "w") as archive:
        for name, text in held.items():
            archive.writestr(name, text)


def built(folder: Path, mined: Change) -> tuple[list[Any], list[Any]]:
    """What the command writes and what it turns away, with the folder's wheels beside the index."""
    done = subprocess.run(
        [BIN / "kat-build-env", "--runs", "1", "--rejects", folder / "rejects"],
        input=encode(mined) + b"\n", env={**os.environ, "PIP_FIND_LINKS": str(folder / "wheels")},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    rejects = folder / "rejects"
    lines = rejects.read_text().splitlines() if rejects.exists() else []
    return [json.loads(line) for line in done.stdout.splitlines()], [json.loads(line) for line in lines]


def turned_away(folder: Path, mined: Change) -> list[dict[str, Any]]:
    made, (told,) = built(folder, mined)
    assert made == [] and (told["stage"], told["reason"]) == ("scan", "answer_on_disk")
    found: list[dict[str, Any]] = told["evidence"]["found"]
    return found


def test_a_newer_release_that_another_wheel_brings_along(tmp_path: Path, mined: Change) -> None:
    info = "greeter_helper/vendor/polite_greeter-2.6.dist-info"
    wheel(tmp_path / "wheels", **{f"{info}/METADATA": "Name: polite-greeter\nVersion: 2.6\n"})
    (found,) = turned_away(tmp_path, mined)
    assert found["version"] == "2.6" and found["path"].startswith("/opt/env/lib/") and found["path"].endswith(info)


def test_a_file_with_the_known_changes_lines(tmp_path: Path, mined: Change) -> None:
    wheel(tmp_path / "wheels", **{"greeter_helper/greetings.py": FIXED})
    (found,) = turned_away(tmp_path, mined)
    assert found["path"].endswith("/site-packages/greeter_helper/greetings.py") and found["lines"] == found["of"] == 3


def test_an_honest_helper_makes_a_task(tmp_path: Path, mined: Change) -> None:
    """Its own release, an older one of the project and the code as it was before the change give nothing away."""
    info = "greeter_helper/vendor/polite_greeter-2.4.dist-info"
    old = {f"{info}/METADATA": "Name: polite-greeter\nVersion: 2.4\n", "greeter_helper/vendor/polite.py": SOURCE}
    wheel(tmp_path / "wheels", **old)
    (made,), rejects = built(tmp_path, mined)
    assert rejects == [] and made["verification"]["FAIL_TO_PASS"] == ["tests/test_polite.py::test_it"]
    assert any(line.startswith("greeter-helper==1.0 ") for line in made["environment"]["lock"])
