"""Recipes are worked out from what projects of many kinds say about themselves."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from katcore.build_env.recipe import NoRecipe
from tests.support.manifests import project, recipe


def needs(folder: Path) -> set[str]:
    return set(recipe(folder).requirements[0])


def test_pep_621_with_extras_that_name_each_other(tmp_path: Path) -> None:
    toml = """
    [project]
    name = "Some-Thing"
    version = "1.2"
    dependencies = ["click>=8", "evil @ https://example.org/x.whl"]
    [project.optional-dependencies]
    yaml = ["pyyaml"]
    test = ["some_thing[yaml]", "hypothesis", "mypy", "pytest>=7"]
    docs = ["sphinx"]
    [project.scripts]
    thing = "some_thing.cli:main"
    """
    found = recipe(project(tmp_path, pyproject_dot_toml=toml))
    assert set(found.requirements[0]) == {"click>=8", "pyyaml", "hypothesis", "pytest>=7"}
    assert set(found.requirements[1]) == {"click>=8", "pytest"}
    assert (found.name, found.version, found.kind) == ("Some-Thing", "1.2", "python/pep621")
    assert any("Some_Thing-1.2.dist-info/METADATA" in command for command in found.setup)
    assert any("bin/thing" in command for command in found.setup)


def test_pep_735_groups_include_each_other(tmp_path: Path) -> None:
    toml = """
    [project]
    name = "x"
    [dependency-groups]
    Base_Things = ["attrs", {include-group = "more"}]
    more = ["six"]
    tests = ["pytest-mock", {include-group = "base.things"}]
    """
    assert needs(project(tmp_path, pyproject_dot_toml=toml)) == {"attrs", "six", "pytest-mock", "pytest"}


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ('[{include-group = "tests"}]', "group dev: Cyclic dependency group include while resolving dev: "),
        ('"six"', "group dev: Dependency group 'dev' contained a string"),
        ("3", "group dev: Dependency group 'dev' is not a sequence"),
    ],
)
def test_a_group_that_cannot_be_resolved_is_left_out_and_said_so(tmp_path: Path, group: str, reason: str) -> None:
    toml = f'[dependency-groups]\ntests = [{{include-group = "dev"}}]\nci = ["attrs"]\ndev = {group}\n'
    found = recipe(project(tmp_path, pyproject_dot_toml=toml))
    assert any(re.match(reason, note) for note in found.notes)
    assert set(found.requirements[0]) == {"attrs", "pytest"}


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ('["six", {include-group = "No.where"}]', "group dev: there is no group no-where"),
        ('["six", 3]', "group dev: 3 is neither a requirement nor a group"),
        ('["six", {include-group = 3}]', "group dev: {'include-group': 3} is neither"),
        ('["not a line", "six", "no line", "-r more.txt"]', r"group dev \(2 more\): Expected .* not a line"),
        (f'["six", "x;{"(" * 5000}"]', "group dev: "),
        ('["six"]\nDEV = ["attrs"]', "group DEV: dev has that name already"),
    ],
    ids=["nowhere", "number", "no name", "no lines", "nested", "twice"],
)
def test_a_line_that_is_none_is_left_out_of_its_group_and_of_those_that_include_it(
    tmp_path: Path, group: str, reason: str
) -> None:
    toml = f'[dependency-groups]\ntests = ["tomli", {{include-group = "dev"}}]\ndev = {group}\n'
    found = recipe(project(tmp_path, pyproject_dot_toml=toml))
    (note,) = found.notes
    assert re.match(reason, note)
    assert set(found.requirements[0]) == {"tomli", "six", "pytest"}


@pytest.mark.parametrize(
    ("poetry", "pep"),
    [
        ("^1.2.3", "x<2.0.0,>=1.2.3"), ("^0.2.3", "x<0.3.0,>=0.2.3"), ("^0.0.3", "x<0.0.4,>=0.0.3"),
        ("^1", "x<2,>=1"), ("~1.2.3", "x<1.3.0,>=1.2.3"), ("~1", "x<2,>=1"), ("*", "x"), ("1.2.*", "x==1.2.*"),
        (">=1,<3", "x<3,>=1"), ("1.0", "x==1.0"), ("^1.0 || ^3.0", "x<4.0,>=3.0"), (">=1.0 <2.0", "x<2.0,>=1.0"),
        ("~=1.2", "x<2.0,>=1.2"), ("^1.0b1", "x<2.0,>=1.0b1"), ("!=1.5", "x!=1.5"), ("^1!2.0", "x<1!3.0,>=1!2.0"),
        (">=1,!=1.5,!=1.6.*,<2", "x!=1.5,!=1.6.*,<2,>=1"), ("", "x"), ("v1.0", "x==1.0"), ("=1.0", "x==1.0"),
    ],
)  # fmt: skip
def test_poetry_ranges(tmp_path: Path, poetry: str, pep: str) -> None:
    toml = f'[tool.poetry]\nname = "p"\nversion = "1"\n[tool.poetry.dependencies]\npython = "^3.8"\nx = "{poetry}"\n'
    assert pep in needs(project(tmp_path, pyproject_dot_toml=toml))


def test_poetry_groups_and_optional_dependencies(tmp_path: Path) -> None:
    toml = """
    [tool.poetry]
    name = "p"
    version = "1"
    [tool.poetry.dependencies]
    python = ">=3.8"
    a = {version = "^1.0", extras = ["fast"], markers = "python_version > '3.0'"}
    b = {version = "*", optional = true}
    c = {git = "https://example.org/c.git"}
    [tool.poetry.extras]
    test = ["b"]
    [tool.poetry.group.test.dependencies]
    d = "*"
    """
    found = needs(project(tmp_path, pyproject_dot_toml=toml))
    assert found == {'a[fast]<2.0,>=1.0; python_version > "3.0"', "d", "pytest"}


def test_flit_reads_the_version_from_the_module(tmp_path: Path) -> None:
    toml = '[tool.flit.metadata]\nmodule = "lib"\nrequires = ["attrs"]\nrequires-python = ">=3.6"\n'
    found = recipe(project(tmp_path, pyproject_dot_toml=toml, src__lib_dot_py='"""A lib."""\n__version__ = "0.4"\n'))
    assert found.version == "0.4" and found.env["PYTHONPATH"] == "/tmp/kat-site:/testbed/src:/testbed"


def test_setup_cfg(tmp_path: Path) -> None:
    cfg = """
[metadata]
name = thing
version = attr: thing.__version__
[options]
package_dir =
    = lib
install_requires =
    attrs  # for classes
    click; python_version < "3"
[options.extras_require]
testing =
    pytest-timeout
[tool:pytest]
addopts = --maxfail=1 -ra --cov=thing -n auto
testpaths = tests
"""
    found = recipe(project(tmp_path, setup_dot_cfg=cfg, **{"lib/thing/__init__.py": "__version__ = '3.1'\n"}))
    assert found.version == "3.1"
    expected = {"attrs", 'click; python_version < "3"', "pytest-timeout", "pytest", "pytest-cov", "pytest-xdist"}
    assert set(found.requirements[0]) == expected
    words = shlex.split(found.test_command)
    assert "addopts=-ra --cov=thing -n auto" in words and "--no-cov" in words and "-n0" in words
    assert words[words.index("-c") + 1] == "setup.cfg"


def test_setup_py_is_read_and_never_run(tmp_path: Path) -> None:
    setup = f"""
import os, setuptools
open({str(tmp_path / "ran")!r}, "w")
common = ["attrs"]
tests = ["nose-like"] + common
setuptools.setup(
    name="thing", version="0.9", install_requires=common + ["six"], extras_require=dict(a=1), tests_require=tests,
    package_dir={{"": "source"}}, entry_points="[pytest11]\\nthing = thing.plugin\\n", python_requires=">=3.5",
    ext_modules=[setuptools.Extension("thing._x", ["x.c"])], long_description=open("README").read(),
)
"""
    found = recipe(project(tmp_path, setup_dot_py=setup, source__thing_dot_py=""))
    assert not (tmp_path / "ran").exists()
    assert set(found.requirements[0]) == {"attrs", "six", "nose-like", "setuptools", "pytest"}
    assert any("entry_points.txt" in command and "pytest11" in command for command in found.setup)
    assert found.setup[-1].endswith("setup.py --quiet build_ext --inplace")
    assert "/testbed/source" in found.env["PYTHONPATH"]


def test_the_metadata_of_a_release_fills_what_is_computed(tmp_path: Path) -> None:
    info = "Metadata-Version: 2.1\nName: thing\nVersion: 7.7\nRequires-Python: >=3.7\nRequires-Dist: attrs>=1\n"
    info += 'Requires-Dist: pytest-mock; extra == "tests"\n\nLong text\nName: other\n'
    setup = "from setuptools import setup\nsetup(version=compute(), install_requires=read('r'))\n"
    found = recipe(project(tmp_path, **{"PKG-INFO": info}, setup_dot_py=setup))
    assert (found.name, found.version) == ("thing", "7.7")
    assert set(found.requirements[0]) == {"attrs>=1", "pytest-mock", "pytest"}


def test_requirement_files_follow_includes_but_not_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("stolen\n")
    inside = tmp_path / "repo"
    found = needs(
        project(
            inside,
            **{"requirements-test.txt": "-r requirements.txt\n-r ../secret.txt\npytest-mock==3.1 \\\n --hash=s:0\n"},
            requirements_dot_txt="attrs # why\n-e .\nhttps://example.org/x.whl\n-r requirements-test.txt\n",
        )
    )
    assert found == {"attrs", "pytest-mock==3.1", "pytest"}


def test_tox_and_ci_name_what_the_tests_need(tmp_path: Path) -> None:
    tox = "[testenv]\ndeps =\n    py311: coverage\n    -r{toxinidir}/more.txt\nextras = fancy\n"
    tox += "[testenv:docs]\ndeps = sphinx\n"
    toml = (
        '[project]\nname = "x"\n[project.optional-dependencies]\nfancy = ["rich"]\nci = ["tox"]\nspeed = ["uvloop"]\n'
    )
    steps = 'jobs:\n  test:\n    steps:\n      - run: pip install -e ".[speed]"\n'
    found = needs(
        project(
            tmp_path, tox_dot_ini=tox, more_dot_txt="six\n", pyproject_dot_toml=toml,
            **{".github__workflows__ci.yml": steps},
        )
    )  # fmt: skip
    assert found == {"coverage", "six", "rich", "uvloop", "pytest"}


def test_another_python_is_refused(tmp_path: Path) -> None:
    toml = '[project]\nname = "x"\nrequires-python = "<3.9"\n'
    with pytest.raises(NoRecipe, match=r"needs Python <3\.9; boxes here have 3\.11"):
        recipe(project(tmp_path, pyproject_dot_toml=toml))


@pytest.mark.parametrize("requires", [">=3.11", ">=3.11.4", ">=3.8,<4", "==3.11.*", "nonsense", "!=3.0.*"])
def test_this_python_is_accepted(tmp_path: Path, requires: str) -> None:
    recipe(project(tmp_path, pyproject_dot_toml=f'[project]\nname = "x"\nrequires-python = "{requires}"\n'))


def test_version_files_that_a_build_would_write(tmp_path: Path) -> None:
    toml = '[project]\nname = "x"\ndynamic = ["version"]\n[tool.setuptools_scm]\nwrite_to = "x/_version.py"\n'
    commands = recipe(project(tmp_path, pyproject_dot_toml=toml)).setup
    assert any("x/_version.py" in command for command in commands)


def test_tests_outside_the_usual_folder_are_run_too(tmp_path: Path) -> None:
    folder = project(tmp_path, pkg__test_inside_dot_py="", pyproject_dot_toml="")
    words = shlex.split(recipe(folder, "pkg/test_inside.py", "tests/data.txt").test_command)
    assert "testpaths=tests pkg/test_inside.py" in words


@pytest.mark.parametrize(
    ("files", "touched", "paths"),
    [
        (["toolz/tests/test_a.py", "toolz/sandbox/tests/test_b.py"], "toolz/tests/test_a.py", "toolz"),
        (["src/pkg/tests/test_a.py", "src/pkg/sub/tests/test_b.py"], "src/pkg/tests/test_a.py", "src"),
        (["pkg/a_test.py", "other/test_b.py", "pkg/a.py"], "pkg/a_test.py", "other pkg"),
        (["six.py", "test_six.py", "docs/test_docs.py", "build/lib/test_c.py"], "test_six.py", "test_six.py"),
        (["pkg/check.py", "pkg/tests/test_a.py", "examples/test_b.py"], "examples/test_b.py", "pkg examples/test_b.py"),
        (["pkg/tests/test_a.py", "tests/test_b.py"], "tests/test_b.py", "tests"),
    ],
)  # fmt: skip
def test_the_suite_is_whole_wherever_a_project_keeps_it(
    tmp_path: Path, files: list[str], touched: str, paths: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    words = shlex.split(recipe(tmp_path, touched).test_command)
    assert f"testpaths={paths}" in words


def test_configured_paths_are_the_suite(tmp_path: Path) -> None:
    toml = '[tool.pytest.ini_options]\ntestpaths = ["checks"]\n'
    folder = project(tmp_path, pkg__tests__test_a_dot_py="", checks__test_b_dot_py="", pyproject_dot_toml=toml)
    words = shlex.split(recipe(folder, "pkg/tests/test_a.py").test_command)
    assert "testpaths=checks pkg/tests/test_a.py" in words


def test_a_change_that_only_deletes_tests_has_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(NoRecipe, match="no Python test file"):
        recipe(project(tmp_path), "tests/test_gone.py")


def test_broken_manifests_say_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path, pyproject_dot_toml="[[[", setup_dot_cfg="no section\n", setup_dot_py="def (")
    assert recipe(folder).kind == "python/plain"
