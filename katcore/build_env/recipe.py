"""How to build a Python project's environment and run its tests, worked out from its files alone.

In: a folder with the repository as it is after the change. Out: a `Recipe`, or `NoRecipe` with the reason. Pure:
nothing is run, fetched or written. `unittest` suites are run through pytest, which collects them as they are.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from katcore.build_env.hints import Hints, hints
from katcore.build_env.manifest import Manifest, name_of, strings, table, toml_of
from katcore.build_env.pyproject import from_pyproject
from katcore.build_env.setup_commands import setup_commands
from katcore.build_env.setuptools import from_release, from_setup_cfg, from_setup_py, ini_of
from katcore.build_env.suite import suite_paths
from katcore.sandbox import ENV, WORKDIR

TEST_NAMES = ("test", "tests", "testing", "test-requirements", "unittest", "pytest", "tests-require")
DEV_NAMES = ("dev", "develop", "development", "ci", "all-dev")
NOT_TESTS = re.compile(
    r"(tox|nox|pre-commit|black|ruff|flake8.*|mypy|isort|pylint|pyright|build|twine|codecov|coveralls|check-manifest"
    r"|sphinx.*|furo|mkdocs.*|bump2version|bumpversion|pip|pip-tools|commitizen|towncrier|ipython|jupyter.*|types-.*"
    r"|pydocstyle|bandit|safety|docutils|pytest-(flake8|black|mypy|pylint|ruff|isort|codestyle|pycodestyle))"
)
"""Matches names of developers' tools that no test needs."""

XDIST = r"(^|\s)-n[ =]?(\d|auto)|--numprocesses"
PLUGINS = {
    r"--cov\b|--cov-|--no-cov": "pytest-cov",
    XDIST: "pytest-xdist",
    r"--timeout": "pytest-timeout",
    r"--benchmark": "pytest-benchmark",
    r"--asyncio-mode|asyncio_mode": "pytest-asyncio",
    r"--randomly": "pytest-randomly",
    r"--django|DJANGO_SETTINGS_MODULE": "pytest-django",
    r"--mypy": "pytest-mypy",
    r"--black": "pytest-black",
    r"--flake8": "pytest-flake8",
    r"--reruns": "pytest-rerunfailures",
    r"--snapshot": "syrupy",
}
"""Patterns of options in a pytest configuration, and the plugin without which the option does not exist."""


class NoRecipe(Exception):
    """No way was found to build or test this project here."""


@dataclass(frozen=True)
class Recipe:
    """`requirements` are candidate sets for the environment, best first; `notes` say what was left out of them."""

    kind: str
    name: str
    version: str
    requirements: tuple[tuple[str, ...], ...]
    setup: tuple[str, ...]
    test_command: str
    env: dict[str, str]
    source_dirs: tuple[str, ...] = (".",)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PytestConfig:
    """Where pytest's configuration lies, and the parts of it that matter here."""

    file: str = ""
    addopts: str = ""
    testpaths: tuple[str, ...] = ()
    text: str = ""
    python_files: bool = False


def detect(folder: Path, test_paths: Sequence[str], python: tuple[int, int] = sys.version_info[:2]) -> Recipe:
    """The recipe; `test_paths` are the files that the change's test patch touches."""
    manifest, found = read_manifest(folder), hints(folder)
    _check_python(manifest.requires_python, python)
    config = pytest_config(folder)
    dirs = source_dirs(folder, manifest)
    if not any(path.endswith(".py") and (folder / path).exists() for path in test_paths):
        raise NoRecipe("the test patch leaves no Python test file")
    return Recipe(
        kind="python/" + ("+".join(dict.fromkeys(manifest.kinds)) or "plain"),
        name=manifest.name,
        version=manifest.version,
        requirements=candidates(manifest, found, config),
        setup=tuple(setup_commands(manifest)),
        test_command=test_command(config, suite_paths(folder, config.testpaths, test_paths)),
        env={"PYTHONPATH": ":".join(["/tmp/kat-site", *(f"{WORKDIR}/{d}".rstrip("/.") for d in dirs)])},
        source_dirs=tuple(dirs),
        notes=tuple(manifest.notes),
    )


def read_manifest(folder: Path) -> Manifest:
    """The project's manifest, merged from all its sources, of which the more believable ones win."""
    manifest = from_pyproject(folder)
    for read in (from_setup_cfg, from_setup_py, from_release):
        manifest.absorb(read(folder))
    return manifest


def _check_python(requires: str, python: tuple[int, int]) -> None:
    try:
        wanted = SpecifierSet(requires)
    except InvalidSpecifier:
        return
    if not any(wanted.contains(f"{python[0]}.{python[1]}.{patch}", prereleases=True) for patch in (0, 9, 99)):
        raise NoRecipe(f"needs Python {requires}; boxes here have {python[0]}.{python[1]}")


def source_dirs(folder: Path, manifest: Manifest) -> list[str]:
    """The folders that imports start from: those that the project names, `src` when it holds code, the top."""
    dirs = [d.strip("/") for d in manifest.source_dirs if ".." not in d and not d.startswith("/")]
    src = folder / "src"
    if src.is_dir() and not (src / "__init__.py").exists() and any([*src.glob("*/*.py"), *src.glob("*.py")]):
        dirs.append("src")
    return list(dict.fromkeys([*(d for d in dirs if d not in ("", ".") and (folder / d).is_dir()), "."]))


def candidates(manifest: Manifest, found: Hints, config: PytestConfig) -> tuple[tuple[str, ...], ...]:
    """Requirement sets to try in turn: all that the tests may need; then no more than the project and its runner."""
    runtime = manifest.dependencies or ([] if manifest.name else found.runtime)
    runner = ["pytest", *(plugin for sign, plugin in PLUGINS.items() if re.search(sign, config.text))]
    build = [*manifest.build_requires, "setuptools"] if manifest.extensions else []
    groups = {k.lower().replace("_", "-"): v for k, v in {**manifest.extras, **manifest.groups}.items()}
    named = [n.lower().replace("_", "-") for n in (*found.extras, *found.groups)]
    surely = [line for name in TEST_NAMES for line in groups.get(name, [])] + found.test
    maybe = [line for name in (*DEV_NAMES, *named) for line in groups.get(name, [])] + found.dev
    tests = surely + (maybe if not surely else [line for n in named for line in groups.get(n, [])])
    tests = _expanded(manifest, [line for line in tests if not NOT_TESTS.fullmatch(name_of(line))])
    full = _unique([*runtime, *tests, *build, *runner], manifest.name)
    least = _unique([*runtime, *build, *runner], manifest.name)
    return (full,) if full == least else (full, least)


def _expanded(manifest: Manifest, lines: Iterable[str], depth: int = 3) -> list[str]:
    """The lines, where those that name extras of the project itself (`kat[train]`) are replaced by the extras' own."""
    out: list[str] = []
    own = name_of(manifest.name) if re.fullmatch(r"[\w.-]+", manifest.name) else ""
    for line in lines:
        if own and name_of(line) == own and depth:
            for extra in sorted(Requirement(line).extras):
                out += _expanded(manifest, manifest.extras.get(extra, []), depth - 1)
        else:
            out.append(line)
    return out


def _unique(lines: Iterable[str], own: str) -> tuple[str, ...]:
    """The lines without repeats, without the project itself, and without a bare `pytest` beside one with a version."""
    mine = name_of(own) if re.fullmatch(r"[\w.-]+", own) else ""
    kept = [line for line in dict.fromkeys(lines) if name_of(line) != mine or mine == "pytest"]
    named = {name_of(line) for line in kept if Requirement(line).specifier}
    return tuple(line for line in kept if Requirement(line).specifier or line not in named)


def pytest_config(folder: Path) -> PytestConfig:
    """The configuration in the file that pytest itself would choose."""
    for name in ("pytest.toml", ".pytest.toml"):
        if (folder / name).is_file():
            return _config(name, table(toml_of(folder / name), "pytest"))
    for name, section in (("pytest.ini", "pytest"), (".pytest.ini", "pytest")):
        if (folder / name).is_file():
            ini = ini_of(folder / name)
            return _config(name, dict(ini.items(section)) if ini.has_section(section) else {})
    tool = table(toml_of(folder / "pyproject.toml"), "tool", "pytest")
    if tool:
        return _config("pyproject.toml", table(tool, "ini_options") or tool)
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        ini = ini_of(folder / name)
        if ini.has_section(section):
            return _config(name, dict(ini.items(section)))
    return PytestConfig()


def _config(file: str, options: dict[str, object]) -> PytestConfig:
    def words(key: str) -> str:
        value = options.get(key)
        return shlex.join(strings(value)) if isinstance(value, list) else str(value or "").replace("\n", " ").strip()

    text = " ".join(f"{key} {words(key)}" for key in options)
    paths = tuple(words("testpaths").replace("'", "").split())
    return PytestConfig(file, words("addopts"), paths, text, "python_files" in options)


_HARMFUL = re.compile(
    r"(-x|--exitfirst|--maxfail|--lf|--last-failed|--ff|--failed-first|--sw|--stepwise|--junit-?xml)(=|$)"
)


def test_command(config: PytestConfig, paths: Sequence[str]) -> str:
    """One shell command: pytest with the project's own configuration, and a report in `$KAT_REPORT`."""
    words = [f"{ENV}/bin/python", "-m", "pytest", "-q", "--tb=short", "-p", "kat_nodeid", "-p", "no:cacheprovider"]
    words += ["--continue-on-collection-errors", "--rootdir", WORKDIR, "-c", config.file or "/dev/null"]
    try:
        options = shlex.split(config.addopts)
    except ValueError:
        options = config.addopts.split()
    if any(_HARMFUL.match(option) for option in options):
        words += ["-o", "addopts=" + shlex.join(_harmless(options))]
    if "--cov" in config.addopts:
        words.append("--no-cov")
    if re.search(XDIST, config.addopts):
        words.append("-n0")
    if not config.python_files:
        words += ["-o", "python_files=test*.py *_test.py *_tests.py"]
    words += ["-o", "junit_family=xunit1", "-o", "junit_logging=no", "-o", f"testpaths={shlex.join(paths)}"]
    return shlex.join(words) + ' --junitxml="$KAT_REPORT/report.xml"'


def _harmless(options: Sequence[str]) -> list[str]:
    """The options without those that stop a run early, run a part of it, or write the report elsewhere."""
    kept: list[str] = []
    skip = False
    for option in options:
        if skip:
            skip = False
            continue
        if _HARMFUL.match(option):
            skip = "=" not in option and option in ("--maxfail", "--junitxml", "--junit-xml")
            continue
        kept.append(option)
    return kept
