"""Logs of runners of other languages, most of them a line per test: a pattern with the test's name and its status.

In: the log's lines, without escape codes. Out: `Outcomes`, with the ids that the datasets' parsers give. Patterns must
fit a whole line, without the spaces around it; the first that does counts.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import partial

from katcore.testrun.reports.logs_python import Family
from katcore.testrun.reports.outcome import Outcomes, Status

_TOKENS: dict[Status, str] = {
    "PASSED": "ok pass passed success ✓ ✔ . +",
    "FAILED": "not_ok fail failed failure err ✕ ✘ ✖ × ✗ ⨯ f x timeout ko crash panic exception fatal",
    "ERROR": "error e",
    "SKIPPED": "skip skipped ignore ignored pending todo disabled ○ ◌ ◦ ⚪ ↓ ↩ s o - notrun",
}
_WORDS: dict[str, Status] = {
    token.replace("_", " "): status for status, tokens in _TOKENS.items() for token in tokens.split()
}
_TIME = r"(?: \(\d+(?:\.\d+)? *m?s\))?"
Line = str | tuple[str, Status]
"""A pattern with the groups `name` and `status`, or one with `name` alone and what it means."""


def lines(*patterns: Line, clean: Callable[[str], str] = str.strip, whole: bool = False) -> Family:
    """The family of logs in which each test has a line that fits one of the patterns. `whole`: no line is stripped."""
    rules = [(re.compile(p), None) if isinstance(p, str) else (re.compile(p[0]), p[1]) for p in patterns]

    def family(log: Sequence[str], outcomes: Outcomes) -> None:
        for line in log:
            text = line if whole else line.strip()
            for pattern, meaning in rules:
                if match := pattern.fullmatch(text):
                    if name := clean(match["name"]):
                        outcomes.add(name, meaning or _WORDS[match["status"].lower()])
                    break

    return family


def either(first: Family, second: Family) -> Family:
    """The first family, or the second where the first finds no test: datasets have names for two formats."""

    def family(log: Sequence[str], outcomes: Outcomes) -> None:
        first(log, outcomes)
        if not outcomes.statuses:
            second(log, outcomes)

    return family


def without_time(name: str) -> str:
    """A name without the time behind it, in brackets or not."""
    return re.sub(r"\s*+(?:\(\s*)?\d+(?:\.\d+)?\s*m?s\s*\)?\s*$", "", name, flags=re.IGNORECASE).strip()


def outline(passed: str, failed: str, between: str, *, end: str, begin: str = "", flat: bool = False) -> Family:
    """Suites as indented lines with their tests below them; `flat`: only the last line above a test counts."""
    test = re.compile(rf"(?:(?P<passed>{passed})|(?:{failed})) *(?P<name>\S.*?)(?: *\([\d.]+ *m?s\))?")
    over = re.compile(end)

    def family(log: Sequence[str], outcomes: Outcomes) -> None:
        suites: list[tuple[int, str]] = []
        running = not begin
        for line in log:
            text = line.strip()
            if begin and begin in line:
                running, suites = True, []
            elif over.match(line):
                running, suites = not begin and not flat, []
                if flat:
                    return
            elif running and (match := test.fullmatch(text)):
                path = [*(name for _, name in suites[-1 if flat else 0 :]), match["name"]]
                outcomes.add(between.join(path), "PASSED" if match["passed"] else "FAILED")
            elif running and text and line != text:
                indent = len(line) - len(line.lstrip())
                while suites and suites[-1][0] >= indent:
                    suites.pop()
                suites.append((indent, text))

    return family


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
        elif started and (test := re.fullmatch(r"\s*([✔✖]) (.*)", line)):
            outcomes.add(" > ".join([*suites, test[2]]), _WORDS[test[1]])
        elif started and (suite := re.fullmatch(r"(\s+)\s(\S.*)", line)):
            indent = len(suite[1])
            if indent > deepest:
                suites.append(suite[2])
            elif indent < deepest and suites:
                suites.pop()
            deepest = indent


def phpunit(log: Sequence[str], outcomes: Outcomes) -> None:
    """`--testdox`: a line per class, `Name (Name\\Space)`, and its tests below it."""
    suite = "None"
    for line in log:
        if heading := re.fullmatch(r"(\w.*) \(.+\)", line):
            suite = heading[1]
        elif test := re.fullmatch(r"\s*([✔✘↩∅⚠☢])\s*(.*)", line):
            outcomes.add(f"{suite} > {test[2]}", _WORDS.get(test[1], "ERROR"))


def maven(log: Sequence[str], outcomes: Outcomes) -> None:
    """One `mvn -Dtest=NAME` per test, as `set -x` shows it, and one `BUILD SUCCESS` or `BUILD FAILURE` for each."""
    tests: list[str] = []
    results: list[str] = []
    for line in log:
        if test := re.search(r"-Dtest=(\S+)", line):
            tests.append(test[1])
        if result := re.search(r"BUILD (SUCCESS|FAILURE)$", line):
            results.append(result[1])
    for name, result in zip(tests, results, strict=False):
        outcomes.add(name, _WORDS[result.lower()])


def gradle(log: Sequence[str], outcomes: Outcomes) -> None:
    """`Class > test PASSED`; where other output comes between, the status has a line of its own."""
    waiting = ""
    for line in (text.strip() for text in log):
        if test := re.fullmatch(r"([^>].*?)\s+(PASSED|FAILED|SKIPPED)(?:\s+\([\d.]+s\))?", line):
            outcomes.add(test[1], _WORDS[test[2].lower()])
            waiting = ""
        elif re.fullmatch(r"[^>]\S*\s+>\s+\S+", line):
            waiting = line
        elif waiting and line in ("PASSED", "FAILED"):
            outcomes.add(waiting, _WORDS[line.lower()])
            waiting = ""


def minitest_name(name: str) -> str:
    """What stands before the last full stop of a minitest name: its parser ends names there."""
    return f"{name} ".rpartition(". ")[0]


def junit(log: Sequence[str], outcomes: Outcomes, *, name: str) -> None:
    """Test cases of JUnit XML that was printed into the log, whole or in pieces; `name` puts the id together."""
    for case in _CASE.finditer("\n".join(log)):
        attributes = {key: html.unescape(value) for key, value in _ATTRIBUTE.findall(case[1])}
        title, place = attributes.get("name", ""), attributes.get("classname", "")
        status: Status = "PASSED"
        for element, meaning in _INSIDE:
            if f"<{element}" in (case[2] or ""):
                status = meaning
        if title:
            outcomes.add(name.format(name=title, classname=place) if place else title, status)


_CASE = re.compile(r"<testcase\b((?:[^>\"]|\"[^\"]*\")*+)(?:(?<=/)>|>((?:(?!<testcase\b|</testcase>)[\s\S])*+))")
_ATTRIBUTE = re.compile(r"([\w:-]+)=\"([^\"]*)\"")
_INSIDE: tuple[tuple[str, Status], ...] = (("skipped", "SKIPPED"), ("failure", "FAILED"), ("error", "ERROR"))


def doctest(log: Sequence[str], outcomes: Outcomes) -> None:
    """doctest for C++ with `-s -r=xml`: each sub-case, failed when one of its expressions is."""
    tests: list[str] = []
    subcases: list[tuple[str, bool]] = []
    for tag in re.finditer(r"<(/?)(TestCase|SubCase|Expression)\b([^>]*+)>", "\n".join(log)):
        attributes = {key: html.unescape(value) for key, value in _ATTRIBUTE.findall(tag[3])}
        if tag[2] == "TestCase":
            tests = [] if tag[1] else [attributes.get("name", "")]
        elif tag[2] == "Expression" and not tag[1]:
            good = attributes.get("success") == "true"
            subcases = [(name, passed and good) for name, passed in subcases]
        elif tag[2] == "SubCase" and not tag[1]:
            subcases.append((attributes.get("name", ""), True))
        elif tag[2] == "SubCase" and subcases:
            name, passed = subcases.pop()
            outcomes.add(f"{''.join(tests)} > {name}", "PASSED" if passed else "FAILED")


_JEST = rf"(?P<status>[✓✕○]) (?P<name>.+?){_TIME}"
_JEST_JSON = r"\[(?P<status>PASSED|FAILED)\] (?P<name>.+)"
_MINITEST = r"(?P<name>.+) = [\d.]+ s = (?P<status>[.FES])"
_FILES = lines(r"(?P<status>PASS|FAIL)\s(?P<name>.+?)(?: \([\d.]+ ?m?s\))?", whole=True)
_MINI = lines(_MINITEST, clean=minitest_name)
_CUCUMBER = lines(r"(?P<name>.*) \.+(?P<status>[.F]).*")

FAMILIES: dict[str, Family] = {
    # C and C++
    "redis": lines(
        rf"\[(?P<status>err)\]: (?P<name>.+?)(?: in \S+)?{_TIME}",
        rf"\[(?P<status>ok|skip|ignore)\]: (?P<name>.+?){_TIME}",
    ),
    "jq": lines(r"(?P<status>PASS|FAIL|SKIP|ERROR): (?P<name>.+)"),
    "doctest": doctest,
    "micropython_test": lines(r"(?P<status>pass|FAIL|skip)\s+(?P<name>.+)"),
    "googletest": lines(r"[^\[]*\[ *(?P<status>OK|FAILED|SKIPPED) *\] (?P<name>.+) \([^()]*\)"),
    "cpp_v2": lines(r"Test\s+(?P<name>.+?)\s+(?P<status>passed|failed|skipped)"),
    "cpp_v4": lines(
        r"\d+/\d+ +Test +#\d+: +(?P<name>.+?) \.+ *(?:\*+ *)?(?P<status>Passed|Failed|Skipped|Timeout|Exception)\b.*"
    ),
    # Go, Rust, Java
    "gotest": lines(r"--- (?P<status>PASS|FAIL|SKIP): (?P<name>.+) \([^()]*\)"),
    "cargo": lines(r"test\s+(?P<name>\S+)\s+\.\.\.\s+(?P<status>ok|FAILED|ignored)"),
    "maven": maven,
    "ant": lines(r"\[junit\]\s+\[(?P<status>PASS|FAIL|ERR)\]\s+(?P<name>.*)"),
    "gradle_custom": gradle,
    "gradlew_v1": partial(junit, name="{name} ({classname})"),
    "junit": partial(junit, name="{classname} {name}"),
    "sbt": partial(junit, name="{classname} {name}"),
    # JavaScript
    "jest": lines(_JEST),
    "jest_json": lines(_JEST_JSON),
    "immutable_js": lines(_JEST, _JEST_JSON),
    "vitest": lines(r"(?P<status>[✓×↓]) (?P<name>.+?)(?: (?:\d+ *m?s?|\[skipped\]))?"),
    "tap": lines(r"(?P<status>ok|not ok) \d+ (?P<name>.+)"),
    "karma": karma,
    "calypso": outline("✓", "✕", " - ", begin=" ./node_modules/.bin/jest ", end="Test Suites|  ● "),
    "highlightjs": outline("[✓✔]", r"\d+\)", ".", end=r"\s*\d+ passing", flat=True),
    **dict.fromkeys(("carbon", "grommet", "react_pdf"), _FILES),
    "js": lines(
        (r"- +(?P<name>.+)", "SKIPPED"),
        (r"\d+\) +(?P<name>.+):", "FAILED"),
        (r"\[W\] *\d+\) +(?P<name>.+)", "FAILED"),
        (r"✔ +(?P<name>.+)", "PASSED"),
        clean=without_time,
    ),
    "js_2": lines(
        (r"- +(?P<name>.+)", "SKIPPED"),
        (r"\d+\) +(?P<name>.+)", "FAILED"),
        (r"✔ +(?P<name>.+)", "PASSED"),
        clean=without_time,
    ),
    "js_4": lines(
        r"(?P<status>[✔✓✘✖×○◌◦⚪])\s*(?:\[.*?\]:)?(?: *:)? *(?P<name>.+)",
        (r"(?P<name>.+?) *(?:\(skipped\)|\[(?:skip|skipped|pending|todo)\])", "SKIPPED"),
        clean=without_time,
    ),
    "npx": lines(
        (r"✔ +(?P<name>.+?)(?: +\(\d+(?:ms)?\))?", "PASSED"), (r"\d+\) +(?P<name>.+?)(?: +\([^)]+\))?", "FAILED")
    ),
    # PHP, Ruby
    "phpunit": phpunit,
    "minitest": _MINI,
    "cucumber": _CUCUMBER,
    "jekyll": either(_MINI, _CUCUMBER),
    "ruby_unit": lines(r"(?:test: )?(?P<name>.+):\s+(?P<status>[.EFO])(?!\w).*"),
    "rspec_transformed_json": lines(r"(?P<name>.+) - (?P<status>passed|failed|pending)"),
    "ruby_v2": lines(r"(?P<name>.+?#.+) = [\d.]+ s = (?P<status>[.FES])"),
}
OTHER_NAMES: dict[str, Family] = {}
