"""JSON reports in the shape of Structs; apart from `outcome`, which is copied to where only the standard library is."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from katcore.testrun.reports.outcome import BadReport

T = TypeVar("T")


def decoded(data: bytes, shape: type[T]) -> T:
    """A JSON report, or one line of it, as an instance of the Struct `shape`. Raises BadReport."""
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReport(f"the report is no JSON of its kind: {error}") from error
