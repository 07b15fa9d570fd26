"""Spoiled test files: every test fails with them though the code is right, and nothing else of the file changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from katcore.testrun.control.python import mutated_python

RIGHT = """
import unittest

import pytest

CONSTANT = 3  # é: offsets are bytes


def test_number():
    "Says what it does."
    assert 1 + 2 == 3


def test_word():
    word = "é"
    assert word + "b" == "éb", "a message"


def test_list():
    assert sorted([2, 1]) == [1, 2]


def test_names():
    a = b = object()
    assert a is b
    assert (a
            == b)


def test_order():
    assert 1 < 2 and 2 < 3


def test_membership():
    assert "a" not in "bc"


def test_truth():
    assert not []


def test_raises():
    with pytest.raises(ValueError, match="invalid"):
        int("x")


def test_close():
    assert 0.1 + 0.2 == pytest.approx(0.3)


def test_without_an_assertion():
    int("3")


@pytest.mark.parametrize("n", [1, 2])
def test_parameters(n):
    assert n * 0 == 0


class TestGroup:
    def test_inside(self):
        for n in (1, 2):
            assert n == n


class Case(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(1 + 1, 2)

    def test_true(self):
        self.assertTrue([1])

    def test_values(self):
        expected = [1]
        self.assertListEqual([1], expected)

    def test_raises(self):
        self.assertRaises(ZeroDivisionError, lambda: 1 / 0)
"""
TESTS = [
    "test_number", "test_word", "test_list", "test_names", "test_order", "test_membership", "test_truth", "test_raises",
    "test_close", "test_without_an_assertion", "test_parameters[1]", "test_parameters[2]", "TestGroup::test_inside",
    "Case::test_equal", "Case::test_true", "Case::test_values", "Case::test_raises",
]  # fmt: skip


def run(folder: Path, text: str) -> dict[str, str]:
    """pytest's own verdicts, by test."""
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", "/dev/null", "test_it.py"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    lines = [line.split(" - ")[0].split() for line in said.splitlines() if "test_it.py::" in line]
    return {
        words[1].removeprefix("test_it.py::"): words[0] for words in lines if words[0] in ("PASSED", "FAILED", "ERROR")
    }


@pytest.mark.slow
def test_every_test_fails_though_the_code_is_right(tmp_path: Path) -> None:
    assert run(tmp_path, RIGHT) == dict.fromkeys(TESTS, "PASSED")
    text, found = mutated_python(RIGHT, TESTS)
    assert found == sorted(TESTS)
    assert run(tmp_path, text) == dict.fromkeys(TESTS, "FAILED")


def test_nothing_but_expectations_changes() -> None:
    text, found = mutated_python(RIGHT, ["test_number"])
    assert found == ["test_number"] and text == RIGHT.replace("assert 1 + 2 == 3", "assert 1 + 2 == 5")
    assert len(mutated_python(RIGHT, TESTS)[0].splitlines()) == len(RIGHT.splitlines()) + 1, "one test had no assertion"


def test_what_agents_were_shown_stays_right() -> None:
    shown = "def test_number():\n    assert 1 + 2 == 3\n\n\ndef test_word():\n    run()\n"
    new = shown.replace("2 == 3\n", "2 == 3\n    assert 2 + 2 == 4\n") + "\n\ndef test_late():\n    assert 1 + 2 == 3\n"
    text, found = mutated_python(new, ["test_number", "test_word", "test_late"], shown=shown)
    assert (text, found) == (new.replace("== 4", "== 6"), ["test_number"])
    assert mutated_python(new, ["test_late"])[1] == ["test_late"]


def test_changed_words_look_like_others() -> None:
    text, _ = mutated_python(
        "def test_a():\n    assert f() == 'word'\n    assert f() == ''\n    assert f(1)\n", ["test_a"]
    )
    first, second, third = text.splitlines()[1:]
    assert sum(a != b for a, b in zip(first, "    assert f() == 'word'")) == 1
    assert (second, third) == ("    assert f() == 's'", "    assert not f(1)")


@pytest.mark.parametrize("text", ["def test_a(:\n", "", "x = 1\n"])
def test_files_without_such_tests_stay(text: str) -> None:
    assert mutated_python(text, ["test_a"]) == (text, [])


def test_the_assertion_that_may_be_patched_stays() -> None:
    text = RIGHT.replace("self.assertListEqual([1], expected)", "self.assertListEqual(made, expected)")
    changed, _ = mutated_python(text, ["Case::test_true", "Case::test_values", "Case::test_equal"])
    assert "self.assertTrue(not ([1]))" in changed and "self.assertListEqual(made, [expected])" in changed
    assert "self.assertEqual(1 + 1, 4)" in changed


def test_a_plain_control_changes_no_expectation() -> None:
    changed, found = mutated_python(RIGHT, ["test_number", "test_parameters[1]"], plain=True)
    assert found == ["test_number", "test_parameters[1]"]
    assert changed.splitlines() != RIGHT.splitlines()
    assert [line for line in changed.splitlines() if line != "    assert 1 == 2"] == RIGHT.splitlines()
