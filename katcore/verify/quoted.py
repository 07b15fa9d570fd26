"""What a judge is given to read, quoted as data: one JSON object, its texts as lists of lines.

In: a task's statement and the parts of a piece of work. Out: a block of text, in one of two views of the same work. In
order, each line is a string; *marked* (after Hines et al. 2024, arXiv:2403.14720), the last line comes first, each
with its number, and a mark stands for white space and inside long words. No quotation mark, bracket or line end of the
work ends the quotation, and no sentence of it stands in the marked view as its author wrote it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from katcore.records import Json

LONGEST = 60_000
"""The most characters of a text that a judge sees: of a longer one the first half and the last half of these."""
MARKS = "\u02c6\u00a4\u00a6\u00ac\u00b6\u00d7\u2020\u2021\u25ca\u25a1\u25b7\u25cb\u25e6\u2736\u2261\u2318"
"""Characters that few texts hold, from which a marked view's is drawn."""

_PIECE = re.compile("[\u3000-\u9fff\uac00-\ud7af]{1,2}|[^\\s\u3000-\u9fff\uac00-\ud7af]{1,10}")
_INDENT = re.compile(r"\s*")


def quoted(nonce: str, statement: str, work: Mapping[str, str], mark: str = "") -> str:
    """The block, under the key `data-NONCE`; with a mark the work is in the marked view."""
    longest = LONGEST // max(1, len(work))
    parts = [f"{_string(name)}: {_lines(text, longest, mark)}" for name, text in work.items()]
    inner = f'"task": {_lines(statement, LONGEST, "")},\n"work": {{{", ".join(parts)}}}'
    return f'{{"data-{nonce}": {{{inner}}}}}'


def mark_for(work: Mapping[str, str], drawn: int) -> str:
    """A mark that the work does not hold, which one is up to `drawn`; of work that holds all of them two in a row."""
    free = [mark for mark in MARKS if not any(mark in text for text in work.values())]
    if free:
        return free[drawn % len(free)]
    return MARKS[drawn % len(MARKS)] + MARKS[drawn // len(MARKS) % len(MARKS)]


def _lines(text: str, longest: int, mark: str) -> str:
    """A list with a text's lines; an object says how many characters were left out, which no line is."""
    half = longest // 2
    if len(text) > longest:
        entries = [*_entries(text[:half], mark), {"left_out": len(text) - longest}, *_entries(text[-half:], mark)]
    else:
        entries = _entries(text, mark)
    return "[\n" + ",\n".join(map(_string, reversed(entries) if mark else entries)) + "\n]"


def _entries(text: str, mark: str) -> list[str | list[int | str] | Json]:
    lines = text.split("\n")
    return [[number, _marked(line, mark)] for number, line in enumerate(lines, 1)] if mark else [*lines]


def _marked(line: str, mark: str) -> str:
    indent = _INDENT.match(line)
    return (indent.group() if indent else "") + mark.join(_PIECE.findall(line))


def _string(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
