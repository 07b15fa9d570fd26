"""Tests lie where their modules do, share what they share in tests.support, and edit no search path of modules."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from tests.support import ROOT

SUITES = ("hostile",)
"""Folders of tests that have the name of what they are about: no module has it."""
ABOUT = {
    "engine/embedded/test_placement.py", "gateway/test_requests.py", "train/losses/test_segments.py",
    "train/test_cut_exact.py", "verify/test_images.py",
}  # fmt: skip
"""Tests that have the name of what they show, which a module of another room happens to have."""


def modules(folder: Path) -> Iterator[Path]:
    """Those of ours; what lies in `projects` is for the runners that are tested."""
    return (path for path in folder.rglob("*.py") if "projects" not in path.parts)


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def imported(path: Path) -> set[str]:
    """Names of modules, and of what may be one: both `a` and `a.b` of `from a import b`."""
    found = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module or ''}.{alias.name}" for alias in node.names)}
    return found


def with_search_paths(root: Path) -> list[str]:
    """Code that reads or changes where Python looks for modules, but for `monkeypatch.setitem`, which is undone."""
    found = []
    for path in (path for folder in ("tests", "benchmarks", "scripts") for path in modules(root / folder)):
        calls = [node for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        undone = [call.args[0] for call in calls if call.func.attr == "setitem" and call.args]  # type: ignore[attr-defined]
        attributes = [node for node in nodes(path) if isinstance(node, ast.Attribute) and node not in undone]
        names = {f"{node.value.id}.{node.attr}" for node in attributes if isinstance(node.value, ast.Name)}
        patched = {node.attr for node in attributes} & {"syspath_prepend", "addsitedir"}
        if patched or {"sys.path", "sys.modules"} & (names | imported(path)):
            found.append(str(path.relative_to(root)))
    return sorted(found)


def with_tests(root: Path) -> list[str]:
    """What imports a test module, and what is no test and imports anything of the tests."""
    found = []
    for path in (path for folder in ("tests", "benchmarks", "scripts") for path in modules(root / folder)):
        parts = [name.split(".") for name in imported(path)]
        tested = any(part.startswith("test_") for name in parts if name[0] == "tests" for part in name)
        tested |= any((path.parent / f"{name[0]}.py").exists() for name in parts if name[0].startswith("test_"))
        if tested or (not path.is_relative_to(root / "tests") and any(name[0] == "tests" for name in parts)):
            found.append(str(path.relative_to(root)))
    return sorted(found)


def out_of_place(root: Path) -> list[str]:
    """Packages of katcore without a folder of tests, folders of tests without a package, helpers beside tests."""
    tests, packages = root / "tests", [path.parent for path in (root / "katcore").glob("*/__init__.py")]
    found = [str(path.relative_to(root)) for path in packages if not any((tests / path.name).rglob("test_*.py"))]
    for path in modules(tests):
        where = path.parent.relative_to(tests)
        if path.name.startswith("test_") or path.name == "conftest.py":
            mirrored = (root / "katcore" / where, root / where, (root / "katcore" / where).with_suffix(".py"))
            misplaced = str(where) not in SUITES and not any(other.exists() for other in mirrored)
        else:
            misplaced = "support" not in where.parts and path != tests / "__init__.py"
        if misplaced:
            found.append(str(path.relative_to(root)))
    return sorted(found)


def named_for_others(root: Path) -> list[str]:
    """Tests with the name of a module of katcore that lies in other packages than they do."""
    katcore, tests, found = root / "katcore", root / "tests", []
    known = {path.stem for path in modules(katcore)}
    for path in modules(tests):
        where, name = path.parent.relative_to(tests), path.stem.removeprefix("test_")
        own = {katcore / where, *(katcore / where).rglob("*")} if (katcore / where).is_dir() else set()
        if own and path.stem.startswith("test_") and name in known - {other.stem for other in own}:
            found.append(str(path.relative_to(tests)))
    return sorted(found)


def test_no_search_path_is_edited() -> None:
    assert with_search_paths(ROOT) == []


def test_no_test_is_imported_and_benchmarks_stand_alone() -> None:
    assert with_tests(ROOT) == []


def test_tests_lie_where_their_modules_do() -> None:
    assert out_of_place(ROOT) == []


def test_tests_of_a_module_lie_with_it() -> None:
    assert named_for_others(ROOT) == sorted(ABOUT)


def test_what_breaks_these_rules_is_found(tmp_path: Path) -> None:
    files = {
        "katcore/pool/__init__.py": "", "katcore/pool/in/cluster.py": "", "katcore/disk/lock.py": "",
        "tests/pool/test_cluster.py": "", "tests/pool/test_pool.py": "", "tests/pool/test_lock.py": "",
        "katcore/disk/__init__.py": "", "katcore/loop.py": "",
        "tests/pool/test_a.py": "import sys\nsys.path.insert(0, 'x')\n",
        "tests/pool/test_b.py": "def f(monkeypatch): monkeypatch.syspath_prepend('x')\n",
        "tests/pool/test_c.py": "from tests.pool.test_a import x\n",
        "tests/pool/test_d.py": "from tests.pool import test_a\n",
        "tests/pool/test_e.py": "def f(): import test_a\n",
        "tests/pool/test_f.py": "from tests.support import helper\nCODE = 'import sys; sys.path'\n",
        "tests/pool/projects/test_x.py": "import sys\nsys.path.append('x')\n",
        "tests/pool/helper.py": "", "tests/support/helper.py": "", "tests/__init__.py": "",
        "tests/loop/test_a.py": "", "tests/hostile/test_a.py": "", "tests/puddle/test_a.py": "",
        "benchmarks/a.py": "from tests.support import helper\n", "benchmarks/b.py": "import tests\n",
        "scripts/c.py": "from sys import path\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert with_search_paths(tmp_path) == ["scripts/c.py", "tests/pool/test_a.py", "tests/pool/test_b.py"]
    importing = ["tests/pool/test_c.py", "tests/pool/test_d.py", "tests/pool/test_e.py"]
    assert with_tests(tmp_path) == ["benchmarks/a.py", "benchmarks/b.py", *importing]
    assert named_for_others(tmp_path) == ["pool/test_lock.py"]
    assert out_of_place(tmp_path) == ["katcore/disk", "tests/pool/helper.py", "tests/puddle/test_a.py"]
