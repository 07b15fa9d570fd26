"""JUnit XML: what most test runners can write.

The elements are the same everywhere, what the attributes mean is not: each runner has a function that makes an id of
them. pytest's node ids come through without loss, because our plugin writes each one as a property; without it they are
put together from pytest's xunit1 attributes, and from `classname` and `name` for runners that have no file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from katcore.testrun.reports.markup import walk
from katcore.testrun.reports.outcome import BadReport, Outcomes, Status, relative, worse

NODE_ID = "kat.nodeid"
"""The property that carries a test's node id."""

Identify = Callable[[Mapping[str, str], str], str]
"""(attributes of a testcase, the repository's path) → the test's id."""

_NOT_RUN = ("Unable to find executable", "Failed to start")
"""ctest's words for a test that has no program: it counts them as failures but writes them as skipped."""


def by_file(case: Mapping[str, str], root: str) -> str:
    """The id as pytest writes it: `tests/test_a.py::TestClass::test_name[parameters]`."""
    classname, name, file = case.get("classname", ""), case.get("name", ""), relative(case.get("file", ""), root)
    module = file.removesuffix(".py").replace("/", ".")
    if not file:
        return by_class(case, root)
    if not classname:  # a file that could not be collected
        return file if name == module else f"{file}::{name}"
    if classname == module:
        return f"{file}::{name}"
    if classname.startswith(module + "."):
        classes = classname[len(module) + 1 :].split(".")
        return "::".join([file, *classes, name])
    return f"{classname}::{name}"  # inherited from another file: the report does not name its own


def by_method(case: Mapping[str, str], root: str) -> str:
    """The id of a unittest test as pytest names it; a sub-test has its test's id, as passing ones have no entry."""
    return by_file({**case, "name": case.get("name", "").split(" ", 1)[0]}, root)


def by_class(case: Mapping[str, str], root: str) -> str:
    """The id `package.Class::method[parameters]`, for surefire, gradle, nextest and unknown runners."""
    classname, name = case.get("classname", ""), case.get("name", "")
    return f"{classname}::{name}" if classname else name


def by_name(case: Mapping[str, str], root: str) -> str:
    """The name alone as id, for ctest, where it is unique."""
    return case.get("name", "")


def in_file(case: Mapping[str, str], root: str) -> str:
    """The id `test/calc.js::suite title`, for mocha, whose class is the suite."""
    title = f"{case.get('classname', '')} {case.get('name', '')}".strip()
    return f"{relative(case.get('file', ''), root)}::{title}"


def by_file_alone(case: Mapping[str, str], root: str) -> str:
    """The id `spec/calc_spec.rb::suite title`, for rspec, whose names hold the suites."""
    return f"{relative(case.get('file', ''), root)}::{case.get('name', '')}"


def in_file_and_class(case: Mapping[str, str], root: str) -> str:
    """The id `tests/CalcTest.php::CalcTest::testAdd with data set #0`, for phpunit."""
    parts = [relative(case.get("file", ""), root), case.get("class", ""), case.get("name", "")]
    return "::".join(part for part in parts if part)


def file_as_class(case: Mapping[str, str], root: str) -> str:
    """`calc.test.ts::suite::title`, for vitest, which writes the file as the class, and jest-junit, which can; a file
    that cannot be run is its own only test."""
    if case.get("classname") == "Test suite failed to run":  # jest-junit
        return relative(case.get("name", ""), root)
    file, name = relative(case.get("classname", ""), root), relative(case.get("name", ""), root)
    return file if name == file else f"{file}::{name.replace(' > ', '::')}"


_BY_ATTRIBUTE: dict[str, Status] = {"fail": "FAILED", "notrun": "SKIPPED", "disabled": "SKIPPED"}
"""The statuses that ctest and googletest write in an attribute, some of them nowhere else."""


class _Reader:
    def __init__(self, identify: Identify, root: str) -> None:
        self.outcomes = Outcomes()
        self.tag = ""
        self._identify, self._root = identify, root
        self._case: dict[str, str] | None = None
        self._status: Status = "PASSED"
        self._node_id = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = self.tag or tag
        if tag == "testcase":
            self._case, self._node_id = attributes, ""
            self._status = _BY_ATTRIBUTE.get(attributes.get("status", ""), "PASSED")
        elif self._case is not None:
            self._inside(tag, attributes)

    def _inside(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "property" and attributes.get("name") == NODE_ID:
            self._node_id = attributes.get("value", "")
        elif tag == "error":
            self._status = "ERROR"
        elif tag == "failure":
            self._status = worse(self._status, "FAILED")
        elif tag == "skipped":
            self._status = worse(self._status, _skipped(attributes))

    def end(self, tag: str) -> None:
        if tag == "testcase" and self._case is not None:
            test = self._node_id or self._identify(self._case, self._root)
            self.outcomes.add(test, self._status, _seconds(self._case.get("time")))
            self._case = None


def _skipped(attributes: Mapping[str, str]) -> Status:
    kind, message = attributes.get("type", ""), attributes.get("message", "")
    if kind in ("pytest.xfail", "XFAIL"):
        return "XFAIL"
    if message.startswith(_NOT_RUN):
        return "ERROR"
    return "XPASS" if message == "xfail-marked test passes unexpectedly" else "SKIPPED"


def _seconds(time: str | None) -> float | None:
    try:
        return float((time or "").replace(",", ""))  # maven writes 1,234.5 where a test takes that long
    except ValueError:
        return None


def read_junit(data: bytes, root: str = "", identify: Identify = by_file) -> Outcomes:
    """The outcome of every test in the report, in its order; `root` is the repository in the box. Raises BadReport."""
    reader = _Reader(identify, root)
    walk(data, reader.start, reader.end)
    if reader.tag not in ("testsuites", "testsuite"):
        raise BadReport(f"the report's root is {reader.tag!r}, not testsuites")
    return reader.outcomes
