"""Test files made to fail on purpose: a control that code which forges its own test results does not withstand.

In: the name and text of a test file and the tests that matter. Out: the same text with wrong expectations. Code under
test shares a process with its tests and can write any report that an honest run would have written; what it cannot do
is tell a right expectation from a wrong one without solving the task. So what passes is run once more, in a fresh box
at the same paths, with wrong expectations: a test that passes then was not decided by its assertions.

Python files are changed by their syntax tree (`python.py`), those of other languages by words (`words.py`). What a
change is worth is found out by running it: `verify/forgery.py` runs the task's known change under the same files.

It stops forged reports and exit statuses, patched runners and assertions, and objects that are equal to everything.
Code that knows an assertion knows whether it was changed, and stops forging where it was: so those that agents were
shown stay as they are, and a change looks like something that might have been written. It does not stop code that
recognises tests which agents were shown where no others decide, nor code that throws a coin whether to forge (it must
be honest here and forge twice elsewhere: one time in six at best), nor tests whose assertions lie in files that the
task does not bring; those get a failing first line, which is easier to tell. Tests in the same file as the code (Rust's
`#[cfg(test)]`) are not among a task's test files and have no control.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from katcore.testrun.control import python, words
from katcore.testrun.control.languages import LANGUAGES


def mutated(name: str, text: str, tests: Iterable[str], shown: str = "", plain: bool = False) -> tuple[str, list[str]]:
    """The text with wrong expectations, and those of the tests (whole ids) that were found in it and have them.

    `shown`: what agents saw of the file; what is expected there too stays right. `plain`: no expectation is changed,
    each test gets a failing first line. A file of an unknown language stays as it is. In a language without a parser
    here, expectations outside of the tests change too.
    """
    suffix = PurePosixPath(name).suffix
    if suffix == ".py":
        inner = {called: test for test in tests if (called := python.inside(name, test))}
        changed, found = python.mutated_python(text, inner, shown, plain)
        return changed, sorted(inner[test] for test in found)
    if suffix in LANGUAGES:
        return words.mutated_words(LANGUAGES[suffix], text, tests, shown, plain)
    return text, []
