"""Logs of Python's runners: pytest, unittest as Django runs it, and sympy's own.

In: the log's lines, without escape codes. Out: `Outcomes`. Each of these runners says at the end how many tests it ran;
a log that lists more than that holds lines which code under test has printed, one without an end was cut off, and both
are refused. A pytest id is kept whole, with the spaces in its parameters, and without the message behind it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from katcore.testrun.reports.outcome import BadReport, Outcomes, Status

Family = Callable[[Sequence[str], Outcomes], None]
"""Adds what the lines of a log say."""
Entry = tuple[str, Status]

_STATUSES: dict[str, Status] = {
    "PASSED": "PASSED", "FAILED": "FAILED", "ERROR": "ERROR", "SKIPPED": "SKIPPED", "XFAIL": "XFAIL", "XPASS": "XPASS",
}  # fmt: skip
_COUNTED: dict[str, Status] = {
    "passed": "PASSED", "failed": "FAILED", "error": "ERROR", "errors": "ERROR", "skipped": "SKIPPED",
    "xfailed": "XFAIL", "xpassed": "XPASS",
}  # fmt: skip
_HEADER = re.compile(r"={3,} short test summary info ={3,}")
_SECTION = re.compile(r"={3,} (?!test session starts)[\w ()]+ ={3,}")
_RESULT = re.compile(r"(?:=+ )?(\d[\w, ]*|no tests ran) in [\d.]+ ?s(?:econds)?(?: \([\w:, ]+\))?(?: =+)?")
_COUNT = re.compile(r"(\d{1,9}) (passed|failed|errors?|skipped|xfailed|xpassed)\b")
_FOLDED = re.compile(r"\[\d{1,9}\] ")  # `SKIPPED [2] tests/test_a.py:7: reason`: places, not tests
_WORDS = "PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS"
_WORKER = re.compile(rf"\[gw\d+\] (?:\[ *\d+%\] )?({_WORDS}) (.+)")
_AFTER = re.compile(rf"(\S.*?) ({_WORDS})(?: \([^()]*\))?(?: +\[ *\d+%\])?(?: in [\d.]+s)?")


def pytest(lines: Sequence[str], outcomes: Outcomes, *, rename: Callable[[str], str] = str) -> None:
    """The short test summary (`-rA`), else the line of each test (`-v`, with or without xdist).

    What tests print is shown before the summary, so only the last summary counts, and only up to the last result line.
    """
    ends = [number for number, line in enumerate(lines) if _RESULT.fullmatch(line)]
    headers = [number for number, line in enumerate(lines) if _HEADER.fullmatch(line)]
    start = headers[-1] if headers else 0
    end = ends[-1] if ends else -1
    verbose = list(_verbose(lines))
    if (headers or verbose) and end < start:
        raise BadReport("the log holds no result of pytest behind its tests: it was cut off")
    if end < 0:
        return
    counts = _counts(lines[end])
    listed = list(_summary(lines[start:end])) if headers else []
    _check(listed, counts)
    entries = [entry for entry in listed if entry[0]]
    if counts["PASSED"] and all(status != "PASSED" for _, status in entries):
        _check(verbose, counts)
        entries += verbose
    for name, status in entries:
        outcomes.add(rename(name), status)


def _counts(result: str) -> Counter[Status]:
    counts: Counter[Status] = Counter()
    for number, word in _COUNT.findall(result):
        counts[_COUNTED[word]] += int(number)
    return counts


def _check(entries: Iterable[Entry], counts: Counter[Status]) -> None:
    """More tests than the runner counts are listed by what a test says of itself: in the reason of a skip, say."""
    for status, number in Counter(status for _, status in entries).items():
        if number > counts[status]:
            raise BadReport(f"the log lists {number} tests as {status} and counts {counts[status]}")


def _summary(lines: Iterable[str]) -> Iterator[Entry]:
    """Entries of a short summary; those without a name stand for places where tests were skipped."""
    for line in lines:
        word, _, rest = line.partition(" ")
        status = _STATUSES.get(word)
        if status is None or not rest.strip():
            continue
        if status == "SKIPPED" and _FOLDED.match(rest):
            yield "", status
        else:
            yield (rest.strip() if status == "PASSED" else _without_message(rest)), status


def _without_message(rest: str) -> str:
    """The id in `id - message`: parameters may hold the same three characters, and the brackets tell."""
    at = rest.find(" - ")
    first = at
    while at >= 0:
        if rest.count("[", 0, at) <= rest.count("]", 0, at):
            return rest[:at].strip()
        at = rest.find(" - ", at + 1) if at - first < 1000 else -1
    return (rest[:first] if first >= 0 else rest).strip()


def _verbose(lines: Iterable[str]) -> Iterator[Entry]:
    """Entries of the lines that come while tests run: all before the first section that pytest writes after them."""
    for line in lines:
        if _SECTION.fullmatch(line) or _RESULT.fullmatch(line):
            return
        if "::" not in line:
            continue
        if worker := _WORKER.fullmatch(line):
            yield worker[2].strip(), _STATUSES[worker[1]]
        elif after := _AFTER.fullmatch(line):
            yield after[1], _STATUSES[after[2]]


def short_option(name: str) -> str:
    """`test[/a/path/to/x]` as `test[/x]`: such parameters differ between machines."""
    main, bracket, option = name.partition("[")
    if not bracket or not option.endswith("]") or " " in name or "*" in option:
        return name
    if not option.startswith("/") or option.startswith("//"):
        return name
    return f"{main}[/{option.rpartition('/')[2]}"


def mouse_button(name: str) -> str:
    """matplotlib's parameters as numbers, as Python spelt them up to 3.10."""
    return name.replace("MouseButton.LEFT", "1").replace("MouseButton.RIGHT", "3")


def last_part(name: str) -> str:
    """The test without its file and class."""
    return name.rpartition("::")[2]


pytest_options = partial(pytest, rename=short_option)
pytest_matplotlib = partial(pytest, rename=mouse_button)
pytest_last_part = partial(pytest, rename=last_part)

_RAN = re.compile(r"Ran (\d{1,9}) tests? in [\d.]+s")
_FAILURE = re.compile(r"(FAIL|ERROR): (\S+ \([\w.]+\)|\S.*)")
_MIGRATION = re.compile(r"Applying [\w.]+?\.\.\.(?=test_)")
_SAID: tuple[tuple[str, Status], ...] = (
    ("ok", "PASSED"), ("skipped", "SKIPPED"), ("FAIL", "FAILED"), ("ERROR", "ERROR"),
    ("expected failure", "XFAIL"), ("unexpected success", "XPASS"),
)  # fmt: skip


def _said(text: str) -> Status | None:
    """What the end of a test's line says."""
    text = "ok" if text == "OK" else text
    for word, status in _SAID:
        if text == word or (word in ("ok", "skipped") and re.match(rf"{word}\b", text) and not text.endswith("...")):
            return status
    return None


def django(lines: Sequence[str], outcomes: Outcomes) -> None:
    """unittest with `-v`: `name ... ok`, where the name is the first line of the description if a test has one.

    Output of a test can push the `ok` to a later line. The headings of failures name failed tests once more, so that
    an `ok` which a test prints does not stand against them.
    """
    ran, waiting, passed = 0, "", set[str]()
    entries: list[Entry] = []
    for number, line in enumerate(text.strip() for text in lines):
        if count := _RAN.fullmatch(line):
            ran += int(count[1])
        elif failure := _FAILURE.fullmatch(line):
            status: Status = "FAILED" if failure[1] == "FAIL" else "ERROR"
            below = lines[number + 1].strip() if number + 1 < len(lines) else ""
            described = [] if not below or below.startswith("---") else [below]
            entries += [(name, status) for name in (failure[2], *described)]
        elif " ... " in line:
            line = _MIGRATION.sub("", line)
            name, _, end = line.rpartition(" ... ")
            known = _said(end.strip())
            entries += [(name, known)] if known else []
            waiting = "" if known else line.partition(" ... ")[0]
        elif waiting and (known := _said(line)):
            entries.append((waiting, known))
            waiting = ""
    for name, status in entries:
        outcomes.add(name, status)
        passed |= {name} if status == "PASSED" else set()
    if entries and not ran:
        raise BadReport("the log does not say how many tests were run: it was cut off")
    if len(passed) > ran:
        raise BadReport(f"the log lists {len(passed)} tests as PASSED and says that {ran} were run")


_FINISHED = re.compile(r"=+ tests finished: (.*), in [\d.]+ seconds =+")
_TRACE = re.compile(r"_+ (\S+\.py:\S+) _+")
_SYMPY: dict[str, Status] = {
    "ok": "PASSED", "F": "FAILED", "E": "ERROR", "f": "XFAIL", "X": "XPASS", "s": "SKIPPED", "w": "SKIPPED",
}  # fmt: skip


def sympy(lines: Sequence[str], outcomes: Outcomes) -> None:
    """`bin/test --verbose`: `test_name ok`, the last of a file followed by the file's `[OK]`; no file in the names."""
    entries: list[Entry] = []
    ends: list[str] = []
    for line in (text.strip() for text in lines):
        words = line.split()
        if words and words[-1] in ("[OK]", "[FAIL]"):
            words.pop()
        if len(words) > 1 and words[0].startswith("test_") and words[-1] in _SYMPY:
            entries.append((words[0], _SYMPY[words[-1]]))
        elif trace := _TRACE.fullmatch(line):
            outcomes.add(trace[1], "FAILED")
        elif end := _FINISHED.fullmatch(line):
            ends.append(end[1])
    if (entries or outcomes.statuses) and not ends:
        raise BadReport("the log does not say that the tests finished: it was cut off")
    passed = sum(int(number) for end in ends for number in re.findall(r"(\d{1,9}) passed", end))
    _check([entry for entry in entries if entry[1] == "PASSED"], Counter({"PASSED": passed}))
    for name, status in entries:
        outcomes.add(name, status)
