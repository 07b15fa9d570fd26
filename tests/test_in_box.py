"""Programs that run inside boxes: files that stand alone, for the Pythons that they name, and no strings."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.disk.in_box import program
from katcore.testrun.reports.junit import NODE_ID
from tests.support import ROOT

PROGRAMS = sorted(path for path in ROOT.glob("katcore/**/in_box/*.py") if path.name != "__init__.py")
BESIDE = {"harbor_runner": {"katcore"}, "cheat_conftest_hook": {"_pytest"}, "cheat_start_hook": {"_pytest"}}
"""What a program finds in its box beside the standard library."""
LINES = 3
"""Of a string with a program: more is a file."""
IMPORT = re.compile(r"^\s*(import [\w., ]+|from [\w.]+ import .+)$", re.MULTILINE)
ARGUMENT_MAX = 1 << 17
"""Bytes, MAX_ARG_STRLEN of the kernel."""
WRITTEN = {"katcore/dataset/functions.py"}
"""These write the test file of one task: what it imports stands in the task's row."""


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_is_written_for_the_pythons_that_it_names(path: Path) -> None:
    source = path.read_text("utf-8")
    named = re.search(r"^Python (\d)\.(\d+) or later\b", ast.get_docstring(ast.parse(source)) or "", re.MULTILINE)
    assert named, "its docstring says under which Python it runs"
    oldest = (int(named[1]), int(named[2]))
    ast.parse(source, feature_version=max(oldest, (3, 4)))  # Python's parser knows none that is older
    assert oldest >= (3, 0) or source.isascii(), "a Python of that age wants to be told an encoding"
    assert len(source.encode()) < ARGUMENT_MAX


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_needs_nothing_of_ours(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = {name.partition(".")[0] for node in ast.walk(tree) for name in _imported(node)}
    assert names - sys.stdlib_module_names == BESIDE.get(path.stem, set())


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_is_read_as_it_stands(path: Path) -> None:
    package = ".".join(path.relative_to(ROOT).parent.parent.parts)
    assert program(package, path.stem) == path.read_text("utf-8")


def test_the_plugin_names_its_property_as_the_reader_does() -> None:
    assert f'"{NODE_ID}"' in program("katcore.testrun", "kat_nodeid")


def programs_in(source: str) -> Iterator[str]:
    """Strings of more than some lines in which something is imported, whole or as a part of a script of the shell."""
    nodes = list(ast.walk(ast.parse(source)))
    others = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    others |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        text = _text(node) if id(node) not in others else ""
        if text.strip().count("\n") >= LINES and IMPORT.search(text):
            yield text


def _text(node: ast.AST) -> str:
    """A string; the fields of an f-string count as names."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "field" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


BODY = "import os\nfor name in os.environ:\n    value = os.environ[name]\n    print(value)\n"


@pytest.mark.parametrize("source", [f'x = """{BODY}"""', f'x = f"""{BODY}{{x}}"""', f'run("""cat <<END\n{BODY}END""")'])
def test_a_program_in_a_string_is_found(source: str) -> None:
    assert len(list(programs_in(source))) == 1


@pytest.mark.parametrize("source", ['x = """one\ntwo\nthree\nfour import five\n"""', f'def f():\n    """{BODY}"""\n'])
def test_other_text_is_not_taken_for_one(source: str) -> None:
    assert not list(programs_in(source))


def test_no_program_is_a_string() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {text[:60]!r}"
        for folder in ("cli", "katcore", "kernels")
        for path in (ROOT / folder).rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in WRITTEN
        for text in programs_in(path.read_text("utf-8"))
    }
    assert not found
