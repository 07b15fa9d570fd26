"""What of a hostile patch reaches a box where tests run: each test is named after the attack it stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from katcore.records import Environment, Report, Task, TaskSource, TestFile
from katcore.testrun.guard import Guard, source_folders

TASK = Task(
    instance_id="t",
    repo="r",
    base_commit="b",
    created_at="2024-01-01T00:00:00Z",
    source=TaskSource(kind="inline"),
    environment=Environment(lock=["pytest-mock==3.0 --hash=sha256:0"]),
    test_files={"tests/test_a.py": TestFile(text=""), "tests/gone.py": TestFile(), "setup.cfg": TestFile(text="")},
)


def guarded(existed: Callable[[str], bool]) -> Guard:
    return Guard(TASK.test_files, TASK.environment, existed)


def change(name: str, line: str = "x = 1") -> str:
    return f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+{line}\n"


def test_source_changes_are_kept_byte_for_byte() -> None:
    patch = change("src/a.py") + change("src/b b.py", "diff --git is a word") + change("docs/é.md")
    assert guarded(lambda name: False).keep(patch).patch == patch


@pytest.mark.parametrize(
    "name",
    [
        "tests/test_a.py",  # weakened test
        "tests/gone.py",  # a deleted test brought back
        "setup.cfg",  # addopts
        "conftest.py",  # hooks that rewrite outcomes
        "src/deep/conftest.py",
        "CONFTEST.PY",
        "pytest.ini",
        "tox.ini",
        "sitecustomize.py",
        "src/usercustomize.py",
        "evil.pth",
        "src/a.pyc",
        "pytest.py",  # shadows the test runner
        "_pytest/config.py",
        "pluggy/__init__.py",
        "unittest.py",
        "sitecustomize/__init__.py",
        "kat_nodeid.py",  # our own plugin
        "pytest_mock.py",  # a plugin of the environment
        "E.DIST-INFO/entry_points.txt",  # plugins, as importlib finds them
        ".dist-info/entry_points.txt",
        "tests/test_a/__init__.py",  # imported in place of tests/test_a.py
        "tests/test_a.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_files_that_reach_into_the_test_run_are_dropped(name: str) -> None:
    kept = guarded(lambda name: False).keep(change("src/a.py") + change(name))
    assert (kept.patch, kept.dropped) == (change("src/a.py"), [name])


def test_a_change_of_what_tests_read_is_dropped_and_a_new_file_is_not() -> None:
    there, new = change("src/tests/data/a.json"), change("src/tests/data/b.json")
    kept = guarded(lambda name: name == "src/tests/data/a.json").keep(there + new + change("src/tests.json"))
    assert (kept.patch, kept.dropped) == (new + change("src/tests.json"), ["src/tests/data/a.json"])


def test_a_test_renamed_away_is_dropped() -> None:
    rename = "diff --git a/tests/test_a.py b/src/x.py\nsimilarity index 100%\n"
    rename += "rename from tests/test_a.py\nrename to src/x.py\n"
    assert guarded(lambda name: False).keep(rename).patch == ""


def test_a_repository_of_a_test_tool_may_change_itself() -> None:
    patch = change("_pytest/config.py")
    assert guarded(lambda name: name == "_pytest").keep(patch).patch == patch


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mocha", ".mocharc.cjs"), ("mocha", "node_modules/.bin/mocha"),
        ("jest", "jest.config.ts"), ("vitest", "a/vitest.config.mts"), ("rspec", ".rspec"),
        ("phpunit", "phpunit.xml"), ("cargo", ".cargo/config.toml"), ("nextest", ".config/nextest.toml"),
        ("maven", ".mvn/jvm.config"),
        ("jest", "babel.config.js"), ("jest", "src/__mocks__/fs.js"), ("vitest", "vite.config.ts"),
        ("go", "calc/zz_test.go"), ("mocha", "test/mocha.opts"), ("rspec", "spec/spec_helper.rb"),
        ("gradle", "src/test/resources/META-INF/services/org.junit.platform.launcher.TestExecutionListener"),
        ("ctest", "CTestCustom.cmake"), ("dotnet", "Directory.Build.props"),
    ],
)  # fmt: skip
def test_each_runner_has_configuration_of_its_own(kind: str, name: str) -> None:
    def reaches(kind: str) -> bool:
        return Guard((), Environment(report=Report(kind=kind)), lambda name: False).reaches(name)

    assert reaches(kind) and not reaches("pytest")


def test_a_library_whose_source_lies_in_a_folder_of_tests_can_be_changed() -> None:
    """As Django's `django/test`: the known change says so; folders of real tests stay shut."""
    known = "diff --git a/lib/test/client.py b/lib/test/client.py\ndiff --git a/lib/core.py b/lib/core.py\n"
    assert source_folders(known) == ("lib/test/",)
    for free, reached in (((), True), (source_folders(known), False)):
        guard = Guard((), Environment(), lambda name: True, free)
        assert guard.reaches("lib/test/utils.py") is reached
        assert guard.reaches("tests/data/answers.json") and not guard.reaches("lib/core.py")
