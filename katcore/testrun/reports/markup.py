"""Walk through XML that untrusted code may have written: document types and entities are refused."""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers import expat

from katcore.testrun.reports.outcome import BadReport, checked

MAX_DEPTH = 100


class _Depth:
    """Counts how deep elements are nested, and ends at a limit: expat itself would go on until memory ends."""

    def __init__(self, start: Callable[[str, dict[str, str]], None], end: Callable[[str], None]) -> None:
        self._start, self._end = start, end
        self._open = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._open += 1
        if self._open > MAX_DEPTH:
            raise BadReport(f"the report is nested more than {MAX_DEPTH} deep")
        self._start(tag, attributes)

    def end(self, tag: str) -> None:
        self._open -= 1
        self._end(tag)


def walk(data: bytes, start: Callable[[str, dict[str, str]], None], end: Callable[[str], None]) -> None:
    """Call `start(tag, attributes)` and `end(tag)` for every element. Raises BadReport."""
    depth = _Depth(start, end)
    parser = expat.ParserCreate()
    parser.StartElementHandler = depth.start
    parser.EndElementHandler = depth.end
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(checked(data), True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # also an encoding that nobody knows
        raise BadReport(f"the report is no XML: {error}") from error


def _refuse(*_: object) -> None:
    raise BadReport("the report declares a document type or an entity")
