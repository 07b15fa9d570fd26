"""The text of `cargo test` on stable Rust, which has no machine-readable report. nextest writes JUnit; see `runners`.

In: standard output and error of one `cargo test --no-fail-fast`, in their order. For each test program cargo names it,
the program says how many tests it runs, one line per test, and a summary. All of these must be there and agree, else
the report is refused. Other lines (warnings, what tests print) are passed over.

An id is `<file>::<module::test>`: `tests/it.rs` for integration tests, `<crate>/src/lib.rs` for unit tests (several
crates of a workspace have such a file), `<crate>/doc` for documentation tests, without their line numbers.
"""

from __future__ import annotations

import re
from collections import Counter

from katcore.testrun.reports.outcome import BadReport, Outcomes, Status, checked

_PROGRAM = re.compile(r" *Running (unittests )?(\S+) \((.*)\)")
_DOC = re.compile(r" *Doc-tests (\S+)")
_COUNT = re.compile(r"running (\d{1,9}) tests?")
_TEST = re.compile(r"test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:, .*)?(?: <[\d.]+s>)?")
_RESULT = re.compile(
    r"test result: (ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored; \d+ measured; \d+ filtered out"
    r"(?:; finished in [\d.]+s)?"
)
_LINE_NUMBER = re.compile(r" \(line \d+\)")
_STATUS: dict[str, Status] = {"ok": "PASSED", "FAILED": "FAILED", "ignored": "SKIPPED"}


class _Reader:
    """`unit` is the program whose results come; `left` counts the tests that are still to be named, None before the
    program said how many there are."""

    def __init__(self) -> None:
        self.outcomes = Outcomes()
        self.unit = ""
        self.left: int | None = None
        self._seen: Counter[Status] = Counter()

    def line(self, line: str) -> None:
        if not self.unit:
            self._header(line)
        elif self.left is None:
            if count := _COUNT.fullmatch(line):
                self.left = int(count[1])
            else:  # a program of its own kind (`harness = false`) says nothing that we know
                self._header(line)
        elif self.left:
            if test := _TEST.fullmatch(line):
                self._test(test[1], _STATUS[test[2]])
        elif (result := _RESULT.fullmatch(line)) and self._agrees(result):
            self.unit, self.left = "", None
            self._seen.clear()

    def _header(self, line: str) -> None:
        if program := _PROGRAM.fullmatch(line):
            crate = program[3].rsplit("/", 1)[-1].rsplit("-", 1)[0]  # target/debug/deps/<crate>-<hash>
            self.unit = f"{crate}/{program[2]}" if program[1] else program[2]
        elif doc := _DOC.fullmatch(line):
            self.unit = f"{doc[1]}/doc"

    def _test(self, name: str, status: Status) -> None:
        assert self.left is not None
        self.left -= 1
        self._seen[status] += 1
        self.outcomes.add(f"{self.unit}::{_LINE_NUMBER.sub('', name)}", status)

    def _agrees(self, result: re.Match[str]) -> bool:
        """Whether a summary has the counts seen; if not, a failing test printed it, before the program's own."""
        said = tuple(int(count) for count in result.groups()[1:])
        seen = (self._seen["PASSED"], self._seen["FAILED"], self._seen["SKIPPED"])
        return said == seen and (result[1] == "ok") == (seen[1] == 0)


def read_libtest(data: bytes, root: str = "") -> Outcomes:
    """The outcome of every test. Raises BadReport."""
    reader = _Reader()
    for line in checked(data).splitlines():  # of bytes: a test's name may hold what else ends a line of text
        reader.line(line.decode("utf-8", "backslashreplace"))
    if reader.left is not None:
        raise BadReport(f"the report holds no summary of {reader.unit} that agrees with its tests")
    return reader.outcomes
