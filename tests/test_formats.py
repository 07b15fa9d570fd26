"""docs/formats.md marks what nothing produces: the list of such fields is held against the code."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore import records

ROOT = Path(__file__).resolve().parents[1]
STRUCTS = {
    name: kind for name, kind in vars(records).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct
}  # fmt: skip


def script() -> Any:
    """scripts/formats.py as a module."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location("formats", ROOT / "scripts" / "formats.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


formats = script()
LISTED = [(kind.__name__, field) for kind, fields in formats.NOT_PRODUCED.items() for field in fields]


def modules() -> Iterator[ast.Module]:
    for folder in ("katcore", "cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != ROOT / "katcore" / "records.py":
                yield ast.parse(path.read_text(encoding="utf-8"))


def written(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(struct, field) for each that a constructor is given, ("", field) for each attribute of another that is set."""
    nodes = list(ast.walk(tree))
    ours = {
        name.asname or name.name: name.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "katcore.records"
        for name in node.names
    }
    for node in nodes:
        if isinstance(node, ast.Call) and (struct := ours.get(ast.unparse(node.func), "")) in STRUCTS:
            yield struct, ""
            yield from ((struct, keyword.arg or "**") for keyword in node.keywords)
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            set_here = [each for target in targets for each in ast.walk(target) if isinstance(each, ast.Attribute)]
            yield from (("", each.attr) for each in set_here if ast.unparse(each.value) != "self")


WRITTEN = {pair for tree in modules() for pair in written(tree)}


def said(tree: ast.Module) -> Iterator[object]:
    """Keywords of calls, and texts such as keys of dicts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (keyword.arg for keyword in node.keywords)
        elif isinstance(node, ast.Constant):
            yield node.value


SAID = {each for tree in modules() for each in said(tree)}


@pytest.mark.parametrize("kind, field", LISTED)
def test_what_is_marked_is_written_nowhere(kind: str, field: str) -> None:
    assert field in STRUCTS[kind].__struct_fields__, "the list names fields that are there"
    if formats.is_unmade(STRUCTS[kind]):
        assert (kind, "") not in WRITTEN, "something makes one: mark its fields one by one, or none"
    else:
        assert (kind, field) not in WRITTEN and ("", field) not in WRITTEN


def test_what_nothing_so_much_as_mentions_is_marked() -> None:
    """The other way round, as far as names alone tell: no constructor, assignment, keyword or key has the field's."""
    for name, kind in STRUCTS.items():
        for field in kind.__struct_fields__:
            if (name, field) not in WRITTEN and ("", field) not in WRITTEN and field not in SAID:
                assert (name, field) in LISTED, f"nothing writes {name}.{field}: list it in scripts/formats.py"


def test_the_reading_of_the_code_sees_what_is_written() -> None:
    assert {("Task", "benchmark"), ("Verdict", "reward"), ("Node", "token_ids"), ("", "boundary")} <= WRITTEN
    assert ("Task", "patch") in WRITTEN and ("Verdict", "**") not in WRITTEN


def test_the_page_has_the_marks() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    marked = sum(len(fields) for kind, fields in formats.NOT_PRODUCED.items() if not formats.is_unmade(kind))
    assert page.count(f"{formats.MARK} |") == marked > 5
    assert page.count(f"*{formats.MARK.capitalize()}*: yours") == sum(map(formats.is_unmade, formats.NOT_PRODUCED))
