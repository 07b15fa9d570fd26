"""What every reader gives, and what all of them refuse."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS"]

WORST: tuple[Status, ...] = ("PASSED", "XFAIL", "SKIPPED", "XPASS", "FAILED", "ERROR")
"""The statuses from best to worst; of several entries for one test the worst counts."""

BROKEN: frozenset[Status] = frozenset({"FAILED", "ERROR"})
MAX_BYTES = 64 << 20
MAX_TESTS = 500_000
MAX_ID = 65_536
"""The most characters of an id, into which parameters are printed."""


class BadReport(Exception):
    """The report is not in its format, is cut off, is too large, or tries something that no test report needs."""


def worse(a: Status, b: Status) -> Status:
    """The worse of two statuses."""
    return max(a, b, key=WORST.index)


@dataclass
class Outcomes:
    """Test id -> status, in the report's order; the seconds that each took, where the report says; ids met more than
    once, with the number of entries."""

    statuses: dict[str, Status] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)

    def add(self, test: str, status: Status, seconds: float | None = None) -> None:
        """Add one entry of the report, with its `seconds` if known. Raises BadReport for what cannot be an id."""
        test = test.encode("utf-8", "backslashreplace").decode()  # JSON can spell half a character
        if not test or len(test) > MAX_ID:
            raise BadReport(f"a test's name has {len(test)} characters")
        if test in self.statuses:
            self.repeated[test] = self.repeated.get(test, 1) + 1
            status = worse(self.statuses[test], status)
        elif len(self.statuses) >= MAX_TESTS:
            raise BadReport(f"the report has more than {MAX_TESTS} tests")
        self.statuses[test] = status
        if seconds is not None and math.isfinite(seconds) and seconds >= 0:
            self.seconds[test] = self.seconds.get(test, 0.0) + seconds


def checked(data: bytes) -> bytes:
    """The report's bytes unchanged. Raises BadReport where they are too many."""
    if len(data) > MAX_BYTES:
        raise BadReport(f"the report has {len(data)} bytes, more than {MAX_BYTES}")
    return data


def text_of(data: bytes) -> str:
    """A report as text, in which bytes that are no UTF-8 are shown as escapes."""
    return checked(data).decode("utf-8", "backslashreplace")


def relative(path: str, root: str) -> str:
    """A file's path relative to the repository, from any spelling of runners: absolute, with `./`, or relative."""
    if root and path.startswith(root.rstrip("/") + "/"):
        path = path[len(root.rstrip("/")) + 1 :]
    return path.removeprefix("./")
