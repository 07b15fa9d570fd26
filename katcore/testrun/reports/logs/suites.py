"""Logs in which a test is named by what stands above it: suites on lines of their own, mostly by their indentation.

In: the log's lines, without escape codes. Out: `Outcomes`, with the ids that the datasets' parsers give.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from katcore.testrun.reports.logs.lines import WORDS, without_time
from katcore.testrun.reports.logs.python import Family
from katcore.testrun.reports.outcome import Outcomes, Status


def phpunit(log: Sequence[str], outcomes: Outcomes) -> None:
    """`--testdox`: a line per class, `Name (Name\\Space)`, and its tests below it; without namespaces, `None`."""
    suite = "None"
    for line in log:
        if heading := re.fullmatch(r"(\w.+) \(.+\)", line):
            suite = heading[1]
        elif test := re.fullmatch(r"\s*([✔✘↩∅⚠☢])\s*(.*)", line):
            outcomes.add(f"{suite} > {test[2]}", WORDS.get(test[1], "ERROR"))


_RUBY = re.compile(r"\s*(test[^A-Z\n]+?)\s+(PASS|FAIL|ERROR|SKIP)(?:ED|URE|PED)?(?: \([\d.]+s\))?")


def ruby_v1(log: Sequence[str], outcomes: Outcomes) -> None:
    """minitest-reporters: a line with the class, and a line per test below it."""
    suite = ""
    for line in log:
        if re.fullmatch(r"[A-Z]\w*", line):
            suite = f"{line}::"
        elif test := _RUBY.fullmatch(line):
            outcomes.add(f"{suite}{test[1]}", WORDS[test[2].lower()])


def karma(log: Sequence[str], outcomes: Outcomes) -> None:
    """karma-mocha-reporter, from the browser's start to `SUMMARY:`.

    The path of suites is the one that SWE-bench's ids have: a suite beside the last one adds nothing to it, and one
    further out takes the innermost name away.
    """
    suites: list[str] = []
    deepest, started = -1, False
    for line in log:
        if line.startswith("SUMMARY:"):
            return
        if "Starting browser" in line:
            started = True
        elif started and (test := re.fullmatch(r"\s*([✔✖])\s(.*)", line)):
            outcomes.add(" > ".join([*suites, test[2]]), WORDS[test[1]])
        elif started and (suite := re.fullmatch(r"(\s+)\s(\S.*)", line)):
            indent = len(suite[1])
            if indent > deepest:
                suites.append(suite[2])
            elif indent < deepest and suites:
                suites.pop()
            deepest = indent


_CALYPSO = re.compile(r"(?P<mark>[✓✕])\s(?P<name>.*?)(?: *\(\d+ *ms\))?")


def calypso(log: Sequence[str], outcomes: Outcomes) -> None:
    """`jest --verbose` with the path of suites, from each command to its first failure's text or its summary."""
    running, suites = False, list[tuple[int, str]]()
    for line in log:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if " ./node_modules/.bin/jest " in line:
            running, suites = True, []
        elif line.startswith(("Test Suites", "  ● ")):
            running = False
        elif running and (test := _CALYPSO.fullmatch(text)):
            outcomes.add(" - ".join([*(name for _, name in suites), test["name"]]), WORDS[test["mark"]])
        elif running and text and indent:
            suites = [*(suite for suite in suites if suite[0] < indent), (indent, text)]


_HIGHLIGHT = re.compile(r"(?:(?P<passed>[✓✔])|\d+\))\s*(?P<name>.*?)(?:\s*\(\d+ms\))?")


def highlightjs(log: Sequence[str], outcomes: Outcomes) -> None:
    """mocha up to its first summary; an id has the last line above the test that is indented."""
    suite = ""
    for line in log:
        text = line.strip()
        if re.match(r"\d+ passing", text):
            return
        if test := _HIGHLIGHT.fullmatch(text):
            name = f"{suite}.{test['name']}" if suite else test["name"]
            outcomes.add(name, "PASSED" if test["passed"] else "FAILED")
        elif line.startswith("  "):
            suite = text


_NESTED_TAP = re.compile(r"(ok|not ok)\s+\d+\s+-\s+(.*?)(\s+#.*?)?(\s*\{)?")


def nested_tap(log: Sequence[str], outcomes: Outcomes) -> None:
    """TAP of node-tap: sub-tests in braces behind the line of their suite; names joined by ` :: `."""
    suites: list[str] = []
    for line in (text.strip() for text in log):
        if line and not line.strip("}"):
            suites = suites[: max(0, len(suites) - len(line))]
        elif test := _NESTED_TAP.fullmatch(line):
            skipped = re.search(r"# (?:skip|todo)", test[3] or "", re.IGNORECASE)
            if name := without_time(test[2]):
                outcomes.add(" :: ".join([*suites, name]), "SKIPPED" if skipped else WORDS[test[1]])
                suites += [name] if test[4] else []


_SCALA = re.compile(r"\[info\]\s+-\s+(.*?)(?:\s+\*{3}\s+([A-Z]+)\s+\*{3})?(?:\s*\([^()]*\))?")
_SCALA_SUITE = re.compile(
    r"\[info\]\s+(?!.*(?:Run completed|Total number|Suites:|Tests:|All tests|compiling|loading|welcome to|set current))"
    r"([^\s-].*)"
)


def scala_v3(log: Sequence[str], outcomes: Outcomes) -> None:
    """ScalaTest with the suite before the test."""
    suite = ""
    for line in (text.strip() for text in log):
        if test := _SCALA.fullmatch(line):
            name = re.sub(r"\s*\(\d+ \w+(?:, \d+ \w+)*\)$", "", test[1])
            word = (test[2] or "ok").lower().replace("aborted", "error")
            if name and word in WORDS:
                outcomes.add(f"{suite}: {name}" if suite else name, WORDS[word])
        elif heading := _SCALA_SUITE.fullmatch(line):
            suite = heading[1]


_HSPEC_END = re.compile(r"Failures:|Finished in |Randomized with seed|\d+ examples?,|Test suite ")
_HSPEC_FAILED = re.compile(r"(.*?)\s+FAILED\s*\[\d+\]")
_HSPEC_PENDING = re.compile(r"(.*?)\s+(?:PENDING|SKIPPED)\b.*", re.IGNORECASE)


def hspec(log: Sequence[str], outcomes: Outcomes) -> None:
    """hspec's tree of two spaces per level; a line with nothing below it is an example. Names are joined by dots."""
    starts = [number + 1 for number, line in enumerate(log) if re.match(r"Test suite .*: RUNNING\.\.\.", line)]
    starts = starts or [number for number, line in enumerate(log[:-1]) if "." in line and _opens(line, log[number + 1])]
    begin = starts[0] if starts else len(log)
    over = [number for number in range(begin, len(log)) if _HSPEC_END.match(log[number].strip())]
    tree = [line for line in log[begin : over[0] if over else len(log)] if line.strip()]
    path: list[str] = []
    for number, line in enumerate(tree):
        level, text = _level(line), line.strip()
        status: Status = "PASSED"
        if failed := _HSPEC_FAILED.fullmatch(text):
            text, status = failed[1], "FAILED"
        elif pending := _HSPEC_PENDING.fullmatch(text):
            text, status = pending[1], "SKIPPED"
        path = [*path[: min(level, 100)], text]
        if number + 1 == len(tree) or _level(tree[number + 1]) <= level:
            outcomes.add(".".join(path), status)
    for line in log[over[0] if over else len(log) :]:
        if failure := re.fullmatch(r"\s*\d+\) (.+)", line):
            outcomes.add(".".join(part.strip() for part in failure[1].split(",")), "FAILED")


def _opens(line: str, below: str) -> bool:
    """Whether a line is the outermost one of a tree."""
    return bool(line.strip()) and _level(line) == 0 and _level(below) == 1


def _level(line: str) -> int:
    return (len(line) - len(line.lstrip(" "))) // 2


FAMILIES: dict[str, Family] = {
    "phpunit": phpunit,
    "ruby_v1": ruby_v1,
    "karma": karma,
    "calypso": calypso,
    "highlightjs": highlightjs,
    "js_3": nested_tap,
    "scala_v3": scala_v3,
    "haskell_v2": hspec,
}
"""The family that reads a parser's logs, by the parser's name without `parse_log_`."""
