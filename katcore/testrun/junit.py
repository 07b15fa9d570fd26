"""Read a JUnit XML report that untrusted code may have written.

In: bytes. Out: test id -> status. Ids are pytest's node ids without loss: our plugin writes each one as a property;
without it they are put together from pytest's xunit1 attributes, and from `classname` and `name` for other runners.
Document types and entities are refused, and so is a report that is too large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.parsers import expat

Status = Literal["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS"]

WORST: tuple[Status, ...] = ("PASSED", "XFAIL", "SKIPPED", "XPASS", "FAILED", "ERROR")
"""From best to worst: the worst of several entries for one test counts."""

BROKEN: frozenset[Status] = frozenset({"FAILED", "ERROR"})
MAX_BYTES = 64 << 20
NODE_ID = "kat.nodeid"
"""The property that carries a test's node id."""


class BadReport(Exception):
    """The report is no JUnit XML, is too large, or tries something that no test report needs."""


@dataclass
class _Case:
    classname: str
    name: str
    file: str
    node_id: str = ""
    status: Status = "PASSED"

    def id(self) -> str:
        if self.node_id:
            return self.node_id
        module = self.file.removesuffix(".py").replace("/", ".")
        if not self.file:
            return f"{self.classname}::{self.name}" if self.classname else self.name
        if not self.classname:  # a file that could not be collected
            return self.file if self.name == module else f"{self.file}::{self.name}"
        if self.classname == module:
            return f"{self.file}::{self.name}"
        if self.classname.startswith(module + "."):
            classes = self.classname[len(module) + 1 :].split(".")
            return "::".join([self.file, *classes, self.name])
        return f"{self.classname}::{self.name}"  # inherited from another file: the report does not name its own


def worse(a: Status, b: Status) -> Status:
    """The worse of two statuses."""
    return max(a, b, key=WORST.index)


class _Reader:
    def __init__(self) -> None:
        self.outcomes: dict[str, Status] = {}
        self.root = ""
        self._case: _Case | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.root:
            self.root = tag
        if tag == "testcase":
            get = attributes.get
            self._case = _Case(get("classname", ""), get("name", ""), get("file", ""))
        elif self._case is not None:
            self._inside(self._case, tag, attributes)

    def _inside(self, case: _Case, tag: str, attributes: dict[str, str]) -> None:
        if tag == "property" and attributes.get("name") == NODE_ID:
            case.node_id = attributes.get("value", "")
        elif tag == "error":
            case.status = "ERROR"
        elif tag == "failure":
            case.status = worse(case.status, "FAILED")
        elif tag == "skipped":
            case.status = worse(case.status, _skipped(attributes))

    def end(self, tag: str) -> None:
        if tag == "testcase" and self._case is not None:
            key = self._case.id()
            self.outcomes[key] = worse(self.outcomes.get(key, "PASSED"), self._case.status)
            self._case = None


def _skipped(attributes: dict[str, str]) -> Status:
    if attributes.get("type") == "pytest.xfail":
        return "XFAIL"
    return "XPASS" if attributes.get("message") == "xfail-marked test passes unexpectedly" else "SKIPPED"


def _refuse(*_: object) -> None:
    raise BadReport("the report declares a document type or an entity")


def read(data: bytes) -> dict[str, Status]:
    """The outcome of every test in the report, in its order. Raises BadReport."""
    if len(data) > MAX_BYTES:
        raise BadReport(f"the report has {len(data)} bytes, more than {MAX_BYTES}")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadReport(f"the report is no XML: {error}") from error
    if reader.root not in ("testsuites", "testsuite"):
        raise BadReport(f"the report's root is {reader.root!r}, not testsuites")
    return reader.outcomes
