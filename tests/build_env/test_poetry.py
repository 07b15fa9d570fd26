"""Poetry's tables become requirements as an index and pip understand them; what cannot is left out and said so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.build_env.poetry import from_poetry
from tests.support.endless import ends
from tests.support.manifests import project, recipe

OLD = """
[tool.poetry]
name = "p"
version = "1.2"
packages = [{include = "p", from = "source"}, {include = "q"}]
[tool.poetry.dependencies]
python = "~2.7 || ^3.6"
Flask = "^1.0"
[tool.poetry.dev-dependencies]
pytest-mock = "^3"
[tool.poetry.scripts]
p = "p.cli:main"
"""


def lines(**dependencies: Any) -> list[str]:
    return from_poetry({"dependencies": dependencies}).dependencies


def test_the_older_tables(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    found = recipe(project(tmp_path, pyproject_dot_toml=OLD))
    assert found.requirements == (("Flask<2.0,>=1.0", "pytest-mock<4,>=3", "pytest"), ("Flask<2.0,>=1.0", "pytest"))
    assert (found.name, found.version, found.source_dirs, found.notes) == ("p", "1.2", ("source", "."), ())
    assert any("bin/p" in command for command in found.setup)


@pytest.mark.parametrize(
    ("python", "pep"),
    [
        ("^3.8", ">=3.8,<4.0"), (">=3.8,<3.12", ">=3.8,<3.12"), ("*", ""), ("3.9.*", "==3.9.*"), ("3.9", ">=3.9,<3.10"),
        ("~2.7 || ^3.5", ">=2.7, !=3.0.*, !=3.1.*, !=3.2.*, !=3.3.*, !=3.4.*"),
    ],
)  # fmt: skip
def test_versions_of_python(python: str, pep: str) -> None:
    assert from_poetry({"dependencies": {"python": python}}).requires_python == pep


def test_a_dependency_may_differ_by_case() -> None:
    cases = [{"version": "^1", "python": "<3.8"}, {"version": "^2", "python": "^3.8", "platform": "linux"}]
    assert lines(x=cases) == [
        'x<2,>=1; python_version < "3.8"',
        'x<3,>=2; (python_version >= "3.8" and python_version < "4.0") and sys_platform == "linux"',
    ]


def test_markers_are_kept_and_joined() -> None:
    entry = {"version": "*", "python": "~2.7 || >=3.5.1", "markers": "os_name == 'nt' or extra == 'e'"}
    assert lines(x=entry) == [
        'x; (os_name == "nt" or extra == "e") and ((python_version >= "2.7" and python_version < "2.8")'
        ' or python_full_version >= "3.5.1")'
    ]


def test_what_no_index_has_is_left_out_and_said_so() -> None:
    given = {
        "a": {"git": "https://example.org/a.git", "tag": "1"}, "b": {"path": "../b"}, "c": {"file": "c.whl"},
        "d": {"url": "https://example.org/d.whl"}, "e": "^1", "f": "latest", "g": ">=2,<1", "h": {"extras": ["x"]},
        "i": {"version": "*", "markers": "no marker"}, "j k": "*", "l": {"version": "*", "extras": ["no extra!"]},
        "m": {"version": "*", "python": "three"}, "n": 3,
    }  # fmt: skip
    found = from_poetry({"dependencies": given})
    assert found.dependencies == ["e<2,>=1"]
    assert found.notes[:7] == [
        "a: comes by git, not from an index",
        "b: comes by path, not from an index",
        "c: comes by file, not from an index",
        "d: comes by url, not from an index",
        "f: Could not parse version constraint: latest",
        "g: no version is '>=2,<1'",
        "h: has no version",
    ]
    assert [note.partition(":")[0] for note in found.notes[7:]] == ["i", "j k", "l", "m", "n"]


def test_extras_take_optional_dependencies_by_any_spelling_of_their_name() -> None:
    dependencies = {"Some_Thing": {"version": "^1", "optional": True}, "other": [{"version": "*", "optional": True}]}
    found = from_poetry({"dependencies": dependencies, "extras": {"all": ["other", "some-thing"], "odd": ["none"]}})
    assert found.dependencies == []
    assert found.extras == {"all": ["Some_Thing<2,>=1", "other"], "odd": []}


def test_groups_include_groups_and_the_older_table_joins_the_newer() -> None:
    group = {
        "dev": {"dependencies": {"six": "*"}},
        "test": {"dependencies": {"pytest-mock": "*"}, "include-groups": ["dev"]},
        "round": {"include-groups": ["round"]},
    }
    found = from_poetry({"group": group, "dev-dependencies": {"attrs": "*"}})
    assert found.groups == {"dev": ["six", "attrs"], "test": ["pytest-mock", "six", "attrs"]}
    assert found.notes == ["group round: Cyclic dependency group include while resolving round: round includes itself"]


def test_a_project_table_comes_first(tmp_path: Path) -> None:
    toml = """
    [project]
    name = "p"
    requires-python = ">=3.9"
    dependencies = ["attrs>=20"]
    [tool.poetry.dependencies]
    attrs = {version = "^20", source = "private"}
    [tool.poetry.group.test.dependencies]
    six = "^1"
    """
    found = recipe(project(tmp_path, pyproject_dot_toml=toml))
    assert set(found.requirements[0]) == {"attrs>=20", "six<2,>=1", "pytest"}


def test_copies_that_poetry_core_carries_come_after_what_is_installed() -> None:
    code = "import sys, katcore.build_env.poetry as p; print(sys.path.index(p.__vendor_site__) == len(sys.path) - 1)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


# ------------------------------------------------------------------ hostile


def test_manifests_made_to_take_for_ever_do_not(tmp_path: Path) -> None:
    not_these = ",".join(f"!={n}" for n in range(40))
    ors = " or ".join(f"python_version == '3.{n}'" for n in range(5000))
    entries = {
        "many": not_these, "too_many": not_these * 9, "digits": "^" + "9" * 190,
        "python": {"version": "*", "python": not_these}, "ors": {"version": "*", "markers": ors},
        "nested": {"version": "*", "markers": "(" * 5000 + "os_name == 'nt'" + ")" * 5000},
    }  # fmt: skip
    with ends():
        found = from_poetry({"dependencies": entries})
    assert len(found.dependencies) == 2 and len(found.notes) == 4
    twice = {f"g{n}": {"include-groups": [f"g{n + 1}", f"g{n + 1}"]} for n in range(60)}
    chain = {f"c{n}": {"include-groups": [f"c{n + 1}"]} for n in range(3000)}
    with ends():
        found = from_poetry({"group": {**twice, "g60": {"dependencies": {"x": "*"}}, **chain, "c3000": {}}})
    assert found.groups["g47"] == ["x"] * 2**13 and "more than 10000 lines" in found.notes[0]


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": "x = " + "[" * 5000 + "]" * 5000},
        {"pyproject.toml": "x = " + "1" * 5000},
        {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["y; ' + "(" * 900 + 'os_name"]'},
        {"setup.py": "from setuptools import setup\nx = ['a']\n" + "x = x + x\n" * 60 + "setup(install_requires=x)"},
        {"setup.py": "from setuptools import setup\nx = ['a']\n" + "x = [x, x]\n" * 60 + "setup(name=x, version=x)"},
        {"setup.py": "from setuptools import setup\nx = " + "+".join(["'a'"] * 990) + "\nsetup(name=x)"},
        {"setup.py": "from setuptools import setup\nx = " + "-" * 100_000 + "1\nsetup(name='a')"},
    ],
    ids=["nested", "digits", "marker", "doubled", "doubled lists", "sum", "signs"],
)
def test_manifests_made_to_break_a_reader_do_not(tmp_path: Path, files: dict[str, str]) -> None:
    assert "pytest" in recipe(project(tmp_path, **files)).requirements[0]


WORDS = st.one_of(
    st.text(max_size=20),
    st.text(alphabet="^~=<>!|*.,0123456789 -abrcdevxpost+[]()\"';@", max_size=30),
    st.sampled_from(["^1.2", "*", "linux", "||", "!=win32", "~2.7 || ^3.5", "==", "^", "1.x", "^1.2.*", ", ,"]),
)
KEYS = st.sampled_from(["version", "python", "platform", "markers", "extras", "optional", "git"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(WORDS, KEYS), inner, max_size=4)),
    max_leaves=8,
)
TABLES = st.one_of(VALUES, st.dictionaries(WORDS, VALUES, max_size=4))
GROUPS = st.fixed_dictionaries({}, optional={"dependencies": TABLES, "include-groups": st.lists(WORDS, max_size=2)})


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {"dependencies": TABLES, "group": st.one_of(VALUES, st.dictionaries(WORDS, GROUPS, max_size=3))},
        optional=dict.fromkeys(("name", "dev-dependencies", "extras", "packages", "scripts", "plugins"), TABLES),
    )
)
def test_no_table_breaks_the_reader(poetry: dict[str, Any]) -> None:
    found = from_poetry(poetry)
    assert all(isinstance(note, str) and "\n" not in note for note in found.notes)
