"""Test ids come out of a report as they went into it, and a report that attacks its reader is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from katcore.testrun.reports import junit, outcome
from katcore.testrun.run import PLUGIN, PLUGIN_SOURCE

SUITE = """
import unittest, pytest

class Base:
    def test_inherited(self): pass

class TestOuter:
    class TestInner:
        def test_deep(self): pass

@pytest.mark.parametrize("x", ["a b", "a::b", "[x]", "a/b.c", "\\u4e2d\\u6587", "&<>\\"'", "\\x00\\x1b", " "])
def test_param(x): pass

@pytest.mark.xfail
def test_expected(): assert 0

@pytest.mark.xfail
def test_unexpected(): pass

@pytest.mark.xfail(strict=True)
def test_strict(): pass

def test_skip(): pytest.skip("no")
def test_fail(): assert 0

@pytest.fixture
def late():
    yield
    raise RuntimeError
def test_teardown(late): pass

@pytest.fixture
def early(): raise RuntimeError
def test_setup(early): pass

class Old(unittest.TestCase):
    def test_old(self):
        for i in range(2):
            with self.subTest(i=i): self.assertEqual(i, 0)
"""

EXPECTED = {
    "TestOuter::TestInner::test_deep": "PASSED",
    "test_param[a b]": "PASSED",
    "test_param[a::b]": "PASSED",
    "test_param[[x]]": "PASSED",
    "test_param[a/b.c]": "PASSED",
    "test_param[\\u4e2d\\u6587]": "PASSED",
    "test_param[&<>\"']": "PASSED",
    "test_param[\\x00\\x1b]": "PASSED",
    "test_param[ ]": "PASSED",
    "test_expected": "XFAIL",
    "test_unexpected": "PASSED",
    "test_strict": "FAILED",
    "test_skip": "SKIPPED",
    "test_fail": "FAILED",
    "test_teardown": "ERROR",
    "test_setup": "ERROR",
    "Old::test_old": "FAILED",
}


def run(folder: Path, *arguments: str) -> dict[str, outcome.Status]:
    command = [sys.executable, "-m", "pytest", "-q", "-o", "junit_family=xunit1", "--rootdir=.", "-c", "/dev/null"]
    command += ["--continue-on-collection-errors", "--junitxml=report.xml", *arguments]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return junit.read_junit((folder / "report.xml").read_bytes()).statuses


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    inner = tmp_path / "tests" / "dotted.d"
    inner.mkdir(parents=True)
    (inner / "test_all.py").write_text(SUITE)
    (inner / "test_broken.py").write_text("import nothing_like_it\n")
    (tmp_path / "tests" / "shared.py").write_text(SUITE.split("class TestOuter")[0])
    (tmp_path / "tests" / "test_heir.py").write_text(
        "import sys; sys.path.insert(0, 'tests')\nfrom shared import Base\nclass TestHeir(Base): pass\n"
    )
    (tmp_path / f"{PLUGIN}.py").write_text(PLUGIN_SOURCE)
    return tmp_path


@pytest.mark.slow
def test_ids_and_statuses_are_pytests_own(suite: Path) -> None:
    seen = run(suite, "-p", PLUGIN)
    where = "tests/dotted.d/test_all.py::"
    assert {k.removeprefix(where): v for k, v in seen.items() if k.startswith(where)} == EXPECTED
    assert seen["tests/dotted.d/test_broken.py"] == "ERROR"
    assert seen["tests/test_heir.py::TestHeir::test_inherited"] == "PASSED"


@pytest.mark.slow
def test_ids_without_the_plugin_are_the_same_but_for_inherited_tests(suite: Path) -> None:
    with_plugin, without = run(suite, "-p", PLUGIN), run(suite)
    heir = "tests/test_heir.py::TestHeir::test_inherited"
    assert {k: v for k, v in with_plugin.items() if k != heir} == {
        k: v for k, v in without.items() if "TestHeir" not in k
    }


def report(body: str) -> bytes:
    return f'<?xml version="1.0"?><testsuites><testsuite>{body}</testsuite></testsuites>'.encode()


def test_the_worst_of_two_entries_counts() -> None:
    one, two = '<testcase classname="a" name="b"/>', '<testcase classname="a" name="b"><failure/></testcase>'
    seen = junit.read_junit(report(one + two))
    assert seen.statuses == junit.read_junit(report(two + one)).statuses == {"a::b": "FAILED"}
    assert seen.repeated == {"a::b": 2}


@pytest.mark.parametrize(
    "attack",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><testsuites>&b;</testsuites>',
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><testsuites>&f;</testsuites>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><testsuites/>',
        report("<testcase")[:40],
        b"",
        b"not xml",
        b"<html/>",
    ],
    ids=["bomb", "file", "dtd", "cut", "empty", "text", "html"],
)
def test_hostile_and_broken_reports_are_refused(attack: bytes) -> None:
    with pytest.raises(outcome.BadReport):
        junit.read_junit(attack)


def test_a_report_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "MAX_BYTES", 100)
    with pytest.raises(outcome.BadReport, match="more than"):
        junit.read_junit(report("x" * 100))
