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
"""(lines of a log, outcomes) → None; adds what the lines say to the outcomes."""
Entry = tuple[str, Status]

_STATUSES: dict[str, Status] = {
    "PASSED": "PASSED", "FAILED": "FAILED", "ERROR": "ERROR", "SKIPPED": "SKIPPED", "XFAIL": "XFAIL", "XPASS": "XPASS",
    "FAIL": "FAILED", "SKIP": "SKIPPED",  # before 4.0
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
    """BadReport where more tests are listed than the runner counts: a test printed such lines, in a skip's reason."""
    for status, number in Counter(status for _, status in entries).items():
        if number > counts[status]:
            raise BadReport(f"the log lists {number} tests as {status} and counts {counts[status]}")


def _summary(lines: Iterable[str]) -> Iterator[Entry]:
    """Entries of a short summary; those without a name stand for places where tests were skipped."""
    for line in lines:
        if _SECTION.fullmatch(line) and not _HEADER.fullmatch(line):
            return
        word, _, rest = line.partition(" ")
        status = _STATUSES.get(word)
        if status is None or not rest.strip():
            continue
        if status == "SKIPPED" and _FOLDED.match(rest):
            yield "", status
        else:
            yield (rest.strip() if status == "PASSED" else without_message(rest)), status


def without_message(rest: str) -> str:
    """The id in `id - message`; ` - ` may also stand in parameters, which their brackets tell."""
    at = rest.find(" - ")
    first = at
    while at >= 0:
        if rest.count("[", 0, at) <= rest.count("]", 0, at):
            return rest[:at].strip()
        at = rest.find(" - ", at + 1) if at - first < 1000 else -1
    return (rest if first < 0 or rest.endswith("]") else rest[:first]).strip()


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
    """The test's name without its file and class."""
    return name.rpartition("::")[2]


pytest_options = partial(pytest, rename=short_option)
pytest_matplotlib = partial(pytest, rename=mouse_button)
pytest_last_part = partial(pytest, rename=last_part)

_RAN = re.compile(r"Ran (\d{1,9}) tests? in [\d.]+s")
_TEST = re.compile(r"(.+) \.\.\. +(ok|OK|FAIL|ERROR|expected failure|unexpected success)|(.+?) \.\.\. (skipped)\b.*")
_FAILURE = re.compile(r"(FAIL|ERROR): (\S+ \([\w.]+\)|\S.*)")
MIGRATION = re.compile(r"Applying [\w.]+\.\.\.(?=\w+ \()")
"""Matches the last migration's line where standard error ran into it: SWE-bench's ids may begin with it."""
_SAID: dict[str, Status] = {
    "ok": "PASSED", "OK": "PASSED", "FAIL": "FAILED", "ERROR": "ERROR", "skipped": "SKIPPED",
    "expected failure": "XFAIL", "unexpected success": "XPASS",
}  # fmt: skip
_LATER = re.compile(r"(ok)\b.*|(skipped) .*|(FAIL|ERROR|expected failure|unexpected success)")


def django(lines: Sequence[str], outcomes: Outcomes) -> None:
    """unittest with `-v`: `name ... ok`, where the name is the first line of the description if a test has one.

    Output of a test can push its status to a later line. Below the tests, headings name once more what failed: an `ok`
    that such a test prints does not help it. What else is printed there (messages of errors) is passed over.
    """
    ran, interrupted, below = 0, "", False
    passed: set[str] = set()
    for number, text in enumerate(lines):
        line = text.strip()
        if count := _RAN.fullmatch(line):
            ran, interrupted, below = ran + int(count[1]), "", False
        elif line == _ROW:
            below = True
            for name, status in _failure(lines[number + 1 : number + 3]):
                outcomes.add(name, status)
        elif below:
            continue
        elif test := _TEST.fullmatch(MIGRATION.sub("", line)):
            name, status = test[1] or test[3], _SAID[test[2] or test[4]]
            outcomes.add(name, status)
            passed |= {name} if status == "PASSED" else set()
        elif " ... " in line or line.endswith(" ..."):
            interrupted = MIGRATION.sub("", line).partition(" ...")[0]
        elif interrupted and (later := _LATER.fullmatch(line)):
            status = _SAID[later[1] or later[2] or later[3]]
            outcomes.add(interrupted, status)
            passed |= {interrupted} if status == "PASSED" else set()
    if outcomes.statuses and not ran:
        raise BadReport("the log does not say how many tests were run: it was cut off")
    if len(passed) > ran:
        raise BadReport(f"the log lists {len(passed)} tests as PASSED and says that {ran} were run")


_ROW = "=" * 70


def _failure(lines: Sequence[str]) -> Iterator[Entry]:
    """The heading of a failure: the test, and its description where it has one."""
    if heading := _FAILURE.match(lines[0].strip() if lines else ""):
        status: Status = "FAILED" if heading[1] == "FAIL" else "ERROR"
        yield heading[2], status
        if described := [line.strip() for line in lines[1:] if line.strip() and not line.startswith("---")]:
            yield described[0], status


_FINISHED = re.compile(r"tests finished: ([^=]{0,400}?), ?in [\d.]+ seconds")
_TRACE = re.compile(r"_+ (\S+\.py:(\S+)) _+")
_SYMPY: dict[str, Status] = {
    "ok": "PASSED", "F": "FAILED", "T": "FAILED", "E": "ERROR", "f": "XFAIL", "X": "XPASS", "s": "SKIPPED",
    "w": "SKIPPED", "K": "SKIPPED",
}  # fmt: skip


def sympy(lines: Sequence[str], outcomes: Outcomes) -> None:
    """`bin/test --verbose`: `test_name ok`, the last of a file followed by the file's `[OK]`; no file in the names.

    Output of a test can push its status to the next line. The headings of tracebacks name failed tests once more.
    """
    entries: list[Entry] = []
    running = ""
    for line in lines:
        words = line.split()
        if words and words[-1] in ("[OK]", "[FAIL]"):
            words.pop()
        running = words[0] if words and words[0].startswith("test_") else running
        if running and words and words[-1] in _SYMPY and (words[0] == running or len(words) == 1):
            entries.append((running, _SYMPY[words[-1]]))
        elif trace := _TRACE.fullmatch(line.strip()):
            entries += [(trace[1], "FAILED"), (trace[2], "FAILED")]
    ends = _FINISHED.findall(" ".join(line for line in lines))
    if entries and not ends:
        raise BadReport("the log does not say that the tests finished: it was cut off")
    passed = sum(int(number) for end in ends for number in re.findall(r"(\d{1,9}) passed", end))
    _check([entry for entry in entries if entry[1] == "PASSED"], Counter({"PASSED": passed}))
    for name, status in entries:
        outcomes.add(name, status)
