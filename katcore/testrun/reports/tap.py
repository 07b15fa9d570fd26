"""TAP, versions 12 to 14 and node's: one line per test, sub-tests indented by four spaces before the line that sums
them up.

An id is the path of names, joined by `::`; node puts a file's absolute path on top, which becomes relative. A test that
has sub-tests is a suite: it counts only when it fails and none of them does, as an ERROR. `# TODO` on a failure is
an expected failure. A plan that does not fit, `Bail out!` and a report without a plan are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from katcore.testrun.reports.outcome import BROKEN, MAX_TESTS, BadReport, Outcomes, Status, relative, text_of

MAX_DEPTH = 100
_LINE = re.compile(r"(not )?ok\b(?: +(\d{1,9}))?(?: *-)? *(.*)")
_PLAN = re.compile(r"1\.\.(\d{1,9})(?: +#.*)?")
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(skip|todo)\b.*", re.IGNORECASE)
_DURATION = re.compile(r"\s*duration_ms: (\d+(?:\.\d+)?)")


@dataclass
class _Test:
    name: str
    status: Status
    below: list[_Test]
    seconds: float | None = None


@dataclass
class _Level:
    """Tests of one level whose suite has not been summed up yet, and what their plan said."""

    tests: list[_Test] = field(default_factory=list)
    plan: int | None = None

    def close(self) -> list[_Test]:
        if self.plan != len(self.tests):
            raise BadReport(f"the report has {len(self.tests)} tests where {self.plan} were planned")
        return self.tests


class _Reader:
    def __init__(self) -> None:
        self.levels = [_Level()]
        self._yaml = ""
        self._last: _Test | None = None
        self._count = 0

    def line(self, line: str) -> None:
        text = line.lstrip(" ")
        indent = line[: len(line) - len(text)]
        if self._yaml:
            if line.rstrip() == self._yaml:
                self._yaml = ""
            elif self._last is not None and (duration := _DURATION.fullmatch(line)):
                self._last.seconds = float(duration[1]) / 1000
            return
        depth = len(indent) // 4
        if text.startswith("Bail out!"):
            raise BadReport(f"the run was given up: {text[:200]}")
        if text.rstrip() == "---" and self._last is not None:
            self._yaml = f"{indent}..."
        elif len(indent) % 4:
            return
        elif test := _LINE.fullmatch(text):
            self._test(depth, test)
        elif plan := _PLAN.fullmatch(text.rstrip()):
            self._level(depth).plan = int(plan[1])

    def _level(self, depth: int) -> _Level:
        if depth > MAX_DEPTH:
            raise BadReport(f"the report is nested more than {MAX_DEPTH} deep")
        while len(self.levels) <= depth:
            self.levels.append(_Level())
        return self.levels[depth]

    def _test(self, depth: int, match: re.Match[str]) -> None:
        level = self._level(depth)
        self._count += 1
        if self._count > MAX_TESTS:
            raise BadReport(f"the report has more than {MAX_TESTS} tests")
        if match[2] and int(match[2]) != len(level.tests) + 1:
            raise BadReport(f"the report's test {match[2]} comes as number {len(level.tests) + 1}")
        below = self.levels.pop().close() if len(self.levels) == depth + 2 else []
        if len(self.levels) > depth + 1:
            raise BadReport("the report's sub-tests belong to no test")
        status: Status = "FAILED" if match[1] else "PASSED"
        if directive := _DIRECTIVE.search(match[3]):
            skip = directive[1].lower() == "skip"
            status = "SKIPPED" if skip else "XFAIL" if status == "FAILED" else "PASSED"
        name = _DIRECTIVE.sub("", match[3]).strip() or f"test {len(level.tests) + 1}"
        self._last = _Test(re.sub(r"\\([#\\])", r"\1", name), status, below)
        level.tests.append(self._last)

    def close(self) -> list[_Test]:
        if self._yaml or len(self.levels) > 1:
            raise BadReport("the report is cut off")
        return self.levels[0].close()


def _add(outcomes: Outcomes, test: _Test, path: str) -> bool:
    """Add a test, or all the tests below it; returns whether one of them is broken."""
    if not test.below:
        outcomes.add(path, test.status, test.seconds)
        return test.status in BROKEN
    broken = [_add(outcomes, inner, f"{path}::{inner.name}") for inner in test.below]
    if test.status in BROKEN and not any(broken):
        outcomes.add(path, "ERROR")
    return test.status in BROKEN or any(broken)


def read_tap(data: bytes, root: str = "") -> Outcomes:
    """The outcome of every test without sub-tests. Raises BadReport."""
    reader = _Reader()
    for line in text_of(data).split("\n"):
        reader.line(line.removesuffix("\r"))
    outcomes = Outcomes()
    for test in reader.close():
        _add(outcomes, test, relative(test.name, root))
    return outcomes
