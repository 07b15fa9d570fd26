"""Logs whose lines mean something only together with others: a status further down, events, tables, pieces of XML.

In: the log's lines, without escape codes. Out: `Outcomes`, with the ids that the datasets' parsers give. The worst of
all entries of a test counts.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from katcore.testrun.reports.json_shapes import decoded
from katcore.testrun.reports.logs import lines
from katcore.testrun.reports.logs.lines import WORDS
from katcore.testrun.reports.logs.python import Family
from katcore.testrun.reports.outcome import BadReport, Outcomes, Status

_CARGO = re.compile(r"test\s+(\S+)\s+\.\.\.\s+(.*)")
_CARGO_RESULT = re.compile(r"test result: \w+\. (\d{1,9}) passed; .*")


def cargo(log: Sequence[str], outcomes: Outcomes) -> None:
    """`cargo test`: what a test prints can part its name from its status; lists of failures name it once more."""
    passed: set[str] = set()
    counted, ends, interrupted, failures = 0, 0, "", False
    for line in log:
        text = line.strip()
        name, word = "", text
        if test := _CARGO.fullmatch(text):
            name, word = test[1], test[2].partition(",")[0]
            interrupted = "" if word in ("ok", "FAILED", "ignored") else name
        elif text in ("ok", "FAILED"):
            name, interrupted = interrupted, ""
        elif failures and re.fullmatch(r"    \S+", line):
            name, word = text, "FAILED"
        elif result := _CARGO_RESULT.fullmatch(text):
            counted, ends = counted + int(result[1]), ends + 1
        failures = text == "failures:" or (failures and line.startswith("    "))
        if name and word in ("ok", "FAILED", "ignored"):
            outcomes.add(name, WORDS[word.lower()])
            passed |= {name} if word == "ok" else set()
    if outcomes.statuses and not ends:
        raise BadReport("the log holds no result of cargo behind its tests: it was cut off")
    if len(passed) > counted:
        raise BadReport(f"the log lists {len(passed)} tests as ok and counts {counted}")


_MINITEST = re.compile(r"(.+) = [\d.]+ s = ([.FES])")
_MINITEST_HEADING = re.compile(r"\d+\) (Failure|Error|Skipped):")
_MINITEST_END = re.compile(
    r"(\d{1,9}) (?:runs|tests), \d+ assertions, (\d{1,9}) failures, (\d{1,9}) errors, (\d{1,9}) skips"
)


def minitest(log: Sequence[str], outcomes: Outcomes, *, rename: Callable[[str], str]) -> None:
    """minitest with `-v`, and its list of failures: what a test prints can part its name from its status."""
    passed: set[str] = set()
    allowed, ends, heading = 0, 0, ""
    for line in (text.strip() for text in log):
        if end := _MINITEST_END.match(line):
            allowed, ends = allowed + int(end[1]) - sum(int(end[number]) for number in (2, 3, 4)), ends + 1
        elif heading and line:
            if name := rename(re.sub(r"(?: \[.*\])?:$", "", line)):
                outcomes.add(name, WORDS[heading.lower()])
            heading = ""
        elif begun := _MINITEST_HEADING.fullmatch(line):
            heading = begun[1]
        elif (test := _MINITEST.fullmatch(line)) and (name := rename(test[1])):
            outcomes.add(name, WORDS[test[2].lower()])
            passed |= {name} if test[2] == "." else set()
    if outcomes.statuses and not ends:
        raise BadReport("the log holds no result of minitest behind its tests: it was cut off")
    if len(passed) > allowed:
        raise BadReport(f"the log lists {len(passed)} tests as passed and counts {allowed}")


def before_full_stop(name: str) -> str:
    """The name up to its last full stop, where SWE-bench's parser ends it; empty for a name without one."""
    return f"{name} ".rpartition(". ")[0]


def with_class(name: str) -> str:
    """The name if it has a class before a `#`, else an empty one, which is not taken."""
    return name if "#" in name[1:] else ""


class _Event(Struct, gc=False):
    Action: str = ""
    Test: str = ""


_GO = re.compile(r"--- (PASS|FAIL|SKIP): (.+) \([^()]*\)")


def go(log: Sequence[str], outcomes: Outcomes) -> None:
    """`go test -v`, or its events with `-json`; ids are the tests' names without their packages."""
    for line in log:
        if line.startswith("{"):
            try:
                event = decoded(line.encode(), _Event)
            except BadReport:  # a line that a test has printed
                continue
            if event.Test and event.Action in ("pass", "fail", "skip"):
                outcomes.add(event.Test, WORDS[event.Action])
        elif test := _GO.fullmatch(line.strip()):
            outcomes.add(test[2], WORDS[test[1].lower()])


def maven(log: Sequence[str], outcomes: Outcomes) -> None:
    """One `mvn -Dtest=NAME` per test, as `set -x` shows it, and one `BUILD SUCCESS` or `BUILD FAILURE` for each."""
    tests: list[str] = []
    results: list[str] = []
    for line in log:
        if test := re.search(r"-Dtest=(\S+)", line):
            tests.append(test[1])
        if result := re.search(r"BUILD (SUCCESS|FAILURE)$", line):
            results.append(result[1])
    for name, word in zip(tests, results, strict=False):
        outcomes.add(name, WORDS[word.lower()])


_RUNNING = re.compile(r"(?:\[INFO\]\s+)?Running\s+([\w$.]+)")
_TESTS_RUN = re.compile(r"Tests run:\s*\d+,\s*Failures:\s*(\d+),\s*Errors:\s*(\d+),\s*Skipped:\s*(\d+)")
_JAVA_FAILURE = re.compile(r"\[ERROR\]\s+([\w$.]+)\.([\w$]+)\b.*")


def java_classes(log: Sequence[str], outcomes: Outcomes) -> None:
    """Read Surefire's summary of each class, and its failing methods."""
    running = ""
    for line in (text.strip() for text in log):
        if begun := _RUNNING.fullmatch(line):
            running = begun[1]
        elif failure := _JAVA_FAILURE.fullmatch(line):
            error = "Exception" in line and "AssertionError" not in line
            outcomes.add(f"{failure[1]}.{failure[2]}", "ERROR" if error else "FAILED")
        elif summary := _TESTS_RUN.search(line):
            name = line.rpartition(" in ")[2].rstrip(".:;") if " in " in line else running
            failures, errors, skipped = (int(count) for count in summary.groups())
            status: Status = "FAILED" if failures or errors else "SKIPPED" if skipped else "PASSED"
            if name:
                outcomes.add(name, status)
            running = ""


def java_mvn(log: Sequence[str], outcomes: Outcomes) -> None:
    """Read the summaries of classes, else test cases of XML in the log, and what `maven` finds."""
    java_classes(log, outcomes)
    junit(log, outcomes, name="{classname} {name}")
    maven(log, outcomes)


_MODULE = re.compile(r"\[INFO\]\s+(.+?)\s+\.\.+\s+(SUCCESS|FAILURE|SKIPPED)(?!\w).*")


def java_modules(log: Sequence[str], outcomes: Outcomes) -> None:
    """Read Maven's summary of modules; the test `__suite__` of a module stands for all of its tests."""
    for line in (text.strip() for text in log):
        if module := _MODULE.fullmatch(line):
            outcomes.add(module[1], WORDS[module[2].lower()])
        elif summary := _TESTS_RUN.search(line):
            outcomes.add("__suite__", "FAILED" if int(summary[1]) else "ERROR" if int(summary[2]) else "PASSED")


def gradle(log: Sequence[str], outcomes: Outcomes) -> None:
    """`Class > test PASSED`; where other output comes between, the status has a line of its own."""
    waiting = ""
    for line in (text.strip() for text in log):
        if test := re.fullmatch(r"([^>].*?)\s+(PASSED|FAILED|SKIPPED)(?:\s+\([\d.]+s\))?", line):
            outcomes.add(test[1], WORDS[test[2].lower()])
            waiting = ""
        elif re.fullmatch(r"[^>]\S*\s+>\s+\S+", line):
            waiting = line
        elif waiting and line in ("PASSED", "FAILED"):
            outcomes.add(waiting, WORDS[line.lower()])
            waiting = ""


_OPENING = re.compile(r"(\s(?:[^>\"]|\"[^\"]*\")*+)>")
_ATTRIBUTE = re.compile(r"([\w:-]+)=\"([^\"]*)\"")
_INSIDE: tuple[tuple[str, Status], ...] = (("<skipped", "SKIPPED"), ("<failure", "FAILED"), ("<error", "ERROR"))


def _attributes(text: str) -> dict[str, str]:
    return {key: html.unescape(value) for key, value in _ATTRIBUTE.findall(text)}


def junit(log: Sequence[str], outcomes: Outcomes, *, name: str) -> None:
    """Read test cases of JUnit XML printed into the log, whole or in pieces; `name` is the format of their ids."""
    for piece in "\n".join(log).split("<testcase")[1:]:
        opening = _OPENING.match(piece)
        if opening is None:
            continue
        attributes = _attributes(opening[1])
        inner = "" if opening[1].endswith("/") else piece[opening.end() :].partition("</testcase>")[0]
        status: Status = "PASSED"
        for element, meaning in _INSIDE:
            status = meaning if element in inner else status
        title, place = attributes.get("name", ""), attributes.get("classname", "")
        if title:
            outcomes.add(name.format(name=title, classname=place) if place else title, status)


def doctest(log: Sequence[str], outcomes: Outcomes) -> None:
    """doctest for C++ with `-s -r=xml`: each sub-case, failed when one of its expressions is."""
    test = ""
    open_cases: list[tuple[str, Status]] = []
    for end, tag, rest in re.findall(r"<(/?)(TestCase|SubCase|Expression|Exception)\b([^<>]*+)>", "\n".join(log)):
        attributes = _attributes(rest)
        if tag == "TestCase":
            test, open_cases = attributes.get("name", ""), []
        elif tag == "SubCase" and not end:
            open_cases.append((attributes.get("name", ""), "PASSED"))
        elif tag == "SubCase" and open_cases:
            name, status = open_cases.pop()
            outcomes.add(f"{test} > {name}", status)
        elif not end and attributes.get("success") != "true":
            open_cases = [(name, "FAILED") for name, _ in open_cases]


_BOTAN = re.compile(r"(.*?)\s+ran\s+(\d+)\s+tests\s+in\s+[\d.]+\s+m?sec\s+(.+)", re.IGNORECASE)
_DOTS = re.compile(r"(?:\[\d+/\d+\]\s*)?(.*?)\s*\.\.\.\s*(\w+)")


def cpp_v3(log: Sequence[str], outcomes: Outcomes) -> None:
    """`[1/9] name... OK`, Botan's `name ran 3 tests in 2 msec all ok`, and any other line with a word for a status."""
    for line in (text.strip() for text in log):
        status: Status | None = None
        for pattern, meaning in _KEYWORDS:
            status = status or (meaning if pattern.search(line) else None)
        if botan := _BOTAN.fullmatch(line):
            said: Status = "FAILED" if re.search(r"\bfailed\b", botan[3], re.IGNORECASE) else "PASSED"
            outcomes.add(f"{botan[1]} ran {botan[2]} tests {botan[3]}", said)
        elif dots := _DOTS.fullmatch(line):
            if dots[1]:
                outcomes.add(dots[1], status or "ERROR")
        elif status:
            outcomes.add(line, status)


_KEYWORDS: tuple[tuple[re.Pattern[str], Status], ...] = (
    (re.compile(r"\bSKIPPED\b", re.IGNORECASE), "SKIPPED"),
    (re.compile(r"\b(?:FAILED|FAIL|Failure)\b", re.IGNORECASE), "FAILED"),
    (re.compile(r"\b(?:OK|PASSED)\b", re.IGNORECASE), "PASSED"),
)


def r_check(log: Sequence[str], outcomes: Outcomes) -> None:
    """`R CMD check`: `* checking NAME ... OK`, the word on a later line where the check prints something."""
    waiting = ""
    for line in (text.strip() for text in log):
        begun = re.fullmatch(r"\* checking (.+?) \.\.\.(?: \[[^\]]*\])?(?: ([A-Z]+))?", line)
        if begun:
            waiting = begun[1]
        word = (begun[2] or "") if begun else next(iter(line.strip(".:!").split()), "")
        if waiting and word.upper() == word and word.lower() in {*WORDS, "none", "info"}:
            outcomes.add(waiting, WORDS.get(word.lower(), "PASSED"))
            waiting = ""


def julia(log: Sequence[str], outcomes: Outcomes) -> None:
    """The tables below `Test Summary:`; a number belongs to the column whose heading ends where it does."""
    columns: dict[int, str] = {}
    for line in log:
        name, bar, numbers = line.rpartition("|")
        if not bar:
            columns = {}
        elif "Test Summary:" in name:
            columns = {word.end(): word[0] for word in re.finditer(r"\S+", numbers)}
        elif columns and name.strip():
            found = re.finditer(r"(?<![\w.])\d{1,9}(?![\w.:])", numbers)
            counts = {columns.get(word.end(), "Error"): int(word[0]) for word in found}
            if "Total" in counts:
                broken: Status = "XFAIL" if counts.get("Broken") and not counts.get("Pass") else "PASSED"
                outcomes.add(
                    name.strip(), "ERROR" if counts.get("Error") else "FAILED" if counts.get("Fail") else broken
                )


def lein(log: Sequence[str], outcomes: Outcomes) -> None:
    """Leiningen: namespaces, as their tests begin; what fails below one is its own."""
    namespace = ""
    for line in (text.strip() for text in log):
        if begun := re.fullmatch(r"lein test (?::only )?(.+)", line):
            for word in begun[1].split():
                namespace = word.partition("/")[0]
                outcomes.add(namespace, "PASSED")
        elif line.startswith(("FAIL in", "ERROR in")) and namespace:
            outcomes.add(namespace, "FAILED" if line.startswith("FAIL") else "ERROR")


class _DartTest(Struct, gc=False):
    id: int
    name: str = ""


class _Dart(Struct, gc=False):
    type: str = ""
    test: _DartTest | None = None
    testID: int = -1
    result: str = ""
    hidden: bool = False
    skipped: bool = False


_DART: dict[str, Status] = {"success": "PASSED", "failure": "FAILED", "error": "ERROR"}


def dart(log: Sequence[str], outcomes: Outcomes) -> None:
    """Read Dart's events, as `--reporter json` prints them."""
    names: dict[int, str] = {}
    for line in log:
        if not line.startswith("{"):
            continue
        try:
            event = decoded(line.encode(), _Dart)
        except BadReport:  # a line that a test has printed
            continue
        if event.type == "testStart" and event.test and not event.test.name.startswith("loading "):
            names[event.test.id] = event.test.name
        elif event.type == "testDone" and not event.hidden and names.get(event.testID):
            status = "SKIPPED" if event.skipped else _DART.get(event.result, "ERROR")
            outcomes.add(names[event.testID], status)


_DART_LINE = re.compile(r"(?:\[\w+\]:\s+)?\d+:\d+\s+\+\d+(?: ~\d+)?(?: -\d+)?:\s+(/[^:]+\.dart):\s+(.+?)(\s+\[E\])?")
_DART_LOADING = re.compile(r"\d+:\d+\s+\+\d+(?: ~\d+)? -\d+:\s+loading\s+(/[^:]+\.dart)\s+\[E\]")


def dart_lines(log: Sequence[str], outcomes: Outcomes, *, twice: bool) -> None:
    """Dart's progress: a line as a test begins, `[E]` on one when it fails; `twice`: and one when it has ended."""
    seen: dict[str, int] = {}
    for line in (text.strip() for text in log):
        if loading := _DART_LOADING.fullmatch(line):
            outcomes.add(loading[1], "ERROR")
        elif (test := _DART_LINE.fullmatch(line)) and "loading" not in line.lower():
            name = f"{test[1]}: {test[2]}"
            seen[name] = seen.get(name, 0) + 1
            if test[3] or not twice or seen[name] == 2:
                outcomes.add(name, "FAILED" if test[3] else "PASSED")
    for name in seen:
        if name not in outcomes.statuses:
            outcomes.add(name, "ERROR")


_DUNE = re.compile(r"(Running|Output)\[(\d{1,9})\]:(?:\s+\((.+)\))?.*")
_DUNE_FAILED = re.compile(r"FAIL|ERROR|EXCEPTION|CRASH|FATAL", re.IGNORECASE)


def dune(log: Sequence[str], outcomes: Outcomes) -> None:
    """dune with `--display verbose`: each test program that prints something, and whether it speaks of a failure."""
    programs: dict[str, str] = {}
    active = ""
    for line in (text.strip() for text in log):
        if known := _DUNE.fullmatch(line):
            if known[1] == "Running":
                command = (known[3] or "").rpartition("&&")[2].strip().removeprefix("exec ").split()
                programs[known[2]] = command[0].rpartition("/")[2] if command else f"run_{known[2]}"
            active = programs.get(known[2], "") if known[1] == "Output" else ""
        elif line and active:
            failed = _DUNE_FAILED.search(line)
            skipped = "SKIP" in line.upper()
            outcomes.add(active, "FAILED" if failed else "SKIPPED" if skipped else "PASSED")


def jekyll(log: Sequence[str], outcomes: Outcomes) -> None:
    """minitest, or cucumber: Jekyll's tasks have one of the two under one name."""
    minitest(log, outcomes, rename=before_full_stop)
    if not outcomes.statuses:
        lines.FAMILIES["cucumber"](log, outcomes)


FAMILIES: dict[str, Family] = {
    "cargo": cargo,
    "gotest": go,
    "maven": maven,
    "java_mvn": java_mvn,
    "java_mvn_v2": java_modules,
    "kotlin_junit": java_classes,
    "gradle_custom": gradle,
    "gradlew_v1": partial(junit, name="{name} ({classname})"),
    "junit": partial(junit, name="{classname} {name}"),
    "sbt": partial(junit, name="{classname} {name}"),
    "r_junit": partial(junit, name="{classname}::{name}"),
    "doctest": doctest,
    "cpp_v3": cpp_v3,
    "minitest": partial(minitest, rename=before_full_stop),
    "ruby_v2": partial(minitest, rename=with_class),
    "jekyll": jekyll,
    "r_v2": r_check,
    "julia": julia,
    "lein": lein,
    "dart": dart,
    "dart_v2": partial(dart_lines, twice=True),
    "dart_v3": partial(dart_lines, twice=False),
    "ocaml_v2": dune,
}
"""The family that reads a parser's logs, by the parser's name without `parse_log_`."""
