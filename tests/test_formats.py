"""docs/formats.md marks what nothing produces: the list of such fields is held against the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import msgspec
import pytest

from katcore import records
from tests.support import ROOT

STRUCTS = {
    name: kind for name, kind in vars(records).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct
}  # fmt: skip
TAGS = {records.tag_of(kind): kind.__name__ for kind in records.RECORDS}
MARK = "not produced yet"


def marked() -> Iterator[tuple[str, str]]:
    """(struct, field) of every mark on the page; (struct, "") where the whole struct is marked."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for part in re.split(r"^#{3,4} ", page.partition("\n## Records\n")[2], flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        name = TAGS.get(title, title)
        if f"*{MARK.capitalize()}*" in text:
            yield name, ""
        for field, _, note in re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", text, flags=re.MULTILINE):
            if MARK in note:
                yield name, field


LISTED = sorted(set(marked()))


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
    if field:
        assert field in STRUCTS[kind].__struct_fields__
        assert (kind, field) not in WRITTEN and ("", field) not in WRITTEN
    else:
        assert (kind, "") not in WRITTEN, "something makes one: mark its fields one by one, or none"


def test_what_nothing_so_much_as_mentions_is_marked() -> None:
    """The other way round, as far as names alone tell: no constructor, assignment, keyword or key has the field's."""
    for name, kind in STRUCTS.items():
        for field in kind.__struct_fields__ if (name, "") not in LISTED else ():
            if (name, field) not in WRITTEN and ("", field) not in WRITTEN and field not in SAID:
                assert (name, field) in LISTED, f"nothing writes {name}.{field}: NOT_PRODUCED in scripts/formats.py"


def test_the_reading_of_the_code_sees_what_is_written() -> None:
    assert {("Task", "benchmark"), ("Verdict", "reward"), ("Node", "token_ids"), ("", "boundary")} <= WRITTEN


def test_the_page_has_marks() -> None:
    assert {("Sample", ""), ("Verdict", "turn_rewards"), ("Task", "tools"), ("Pack", "ref_logprob")} <= set(LISTED)
