"""Logs with one line per test, of runners of many languages: a table of patterns with the test's name and its status.

In: the log's lines, without escape codes. Out: `Outcomes`, with the ids that the datasets' parsers give. A pattern must
fit a whole line, without the spaces around it; the first that does counts. What a test prints can look like such a
line: it cannot take back what the runner says, because the worst of all entries of a test counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from katcore.testrun.reports.logs.python import Family
from katcore.testrun.reports.outcome import Outcomes, Status

_TOKENS: dict[Status, str] = {
    "PASSED": "ok pass passed success note notes ✓ ✔ . +",
    "FAILED": "not_ok fail failed failure err warning warnings ✕ ✘ ✖ × ✗ ⨯ f x timeout ko crash panic exception fatal",
    "ERROR": "error errors e not_run",
    "SKIPPED": "skip skipped ignore ignored canceled pending todo disabled not_run_(disabled) ○ ◌ ◦ ⚪ ↓ ↩ s o",
}
WORDS: dict[str, Status] = {
    token.replace("_", " "): status for status, tokens in _TOKENS.items() for token in tokens.split()
}
"""The status that a runner's word or sign means; letters are in lower case."""
_TIME = r"(?: \(\d+(?:\.\d+)? *m?s\))?"
Line = str | tuple[str, Status]
"""A pattern with the groups `name` and `status`, or (a pattern with `name` alone, the status that it means)."""


def lines(*patterns: Line, clean: Callable[[str], str] = str.strip, whole: bool = False) -> Family:
    """The family of logs in which each test has a line that fits one of the patterns; `whole`: lines as they are.

    `clean` makes the id of what the pattern found; an empty one is none.
    """
    rules = [(re.compile(p), None) if isinstance(p, str) else (re.compile(p[0]), p[1]) for p in patterns]

    def family(log: Sequence[str], outcomes: Outcomes) -> None:
        for line in log:
            text = line if whole else line.strip()
            for pattern, meaning in rules:
                if match := pattern.fullmatch(text):
                    if name := clean(match["name"]):
                        outcomes.add(name, meaning or WORDS[match["status"].lower()])
                    break

    return family


def without_time(name: str) -> str:
    """The name without the time that a runner wrote behind it, in brackets or not."""
    return re.sub(r"\s*+(?:\(\s*)?\d+(?:\.\d+)?\s*m?s\s*\)?\s*$", "", name, flags=re.IGNORECASE).strip()


def _one_space(name: str) -> str:
    return " ".join(name.split())


_JEST = rf"(?P<status>[✓✕○]) (?P<name>.+?){_TIME}"
_JEST_JSON = r"\[(?P<status>PASSED|FAILED)\] (?P<name>.+)"
_CUCUMBER = r"(?P<name>.*) \.+(?P<status>[.F]).*"
_MOCHA: tuple[Line, ...] = (
    (r"- +(?P<name>.+)", "SKIPPED"), (r"\d+\) +(?P<name>.+)", "FAILED"), (r"✔ +(?P<name>.+)", "PASSED"),
)  # fmt: skip
_FILES = lines(r"(?P<status>PASS|FAIL)\s(?P<name>.+?)(?: \([\d.]+ ?m?s\))?", whole=True)
_TOOK = r"(?: \([^()]+\))"

FAMILIES: dict[str, Family] = {
    # C and C++
    "redis": lines(
        rf"\[(?P<status>err)\]: (?P<name>.+?)(?: in \S+)?{_TIME}",
        rf"\[(?P<status>ok|skip|ignore)\]: (?P<name>.+?){_TIME}",
    ),
    "jq": lines(r"(?P<status>PASS|FAIL|SKIP|ERROR): (?P<name>.+)"),
    "micropython_test": lines(r"(?P<status>pass|FAIL|skip)\s+(?P<name>.+)"),
    "googletest": lines(r"[^\[]*\[ *(?P<status>OK|FAILED|SKIPPED) *\] (?P<name>.+) \([^()]*\)"),
    "cpp_v2": lines(r"Test\s+(?P<name>.+?)\s+(?P<status>passed|failed|skipped)"),
    "cpp_v4": lines(  # ctest
        r"\d+/\d+ +Test +#\d+: +(?P<name>.+?) \.+ *(?:\*+ *)?"
        r"(?P<status>Passed|Failed|Skipped|Timeout|Exception|Not Run \(Disabled\)|Not Run)(?!\w).*"
    ),
    # Java and its neighbours
    "ant": lines(r"\[junit\]\s+\[(?P<status>PASS|FAIL|ERR)\]\s+(?P<name>.*)"),
    "scala": lines(
        (rf"\[info\] +- +(?P<name>.*?) +\*\*\* +FAILED +\*\*\*{_TOOK}?", "FAILED"),
        (rf"\[info\] +- +(?P<name>.*?) +!!! +(?:CANCELED|IGNORED) +!!!{_TOOK}?", "SKIPPED"),
        (rf"\[info\] +- +(?P<name>.*?){_TOOK}", "PASSED"),
    ),
    "scala_v2": lines(r"(?P<status>[+x]) +(?P<name>.*?) +[\d.]+[mμn]?s"),
    "swift": lines(r"Test Case '(?P<name>[^']+)' +(?P<status>passed|failed|skipped) +\([\d.]+ seconds\)\.?"),
    "csharp": lines(
        (r"\[xUnit\.net +[\d:.]+\] +(?P<name>.+?) +\[FAIL\]", "FAILED"),
        r"\s+(?P<status>Passed|Failed) +(?P<name>.+?) +\[[^\[\]]+\]",
        r"\s+(?P<status>Skipped) +(?P<name>.+?)(?: +\[[^\[\]]+\])?",
        whole=True,
    ),
    # JavaScript
    "jest": lines(_JEST),
    "jest_json": lines(_JEST_JSON),
    "immutable_js": lines(_JEST, _JEST_JSON),  # some of its tasks have one, some the other
    "vitest": lines(r"(?P<status>[✓×↓]) (?P<name>.+?)(?: (?:\d+ *m?s?|\[skipped\]))?"),
    "tap": lines(r"(?P<status>ok|not ok) \d+ (?P<name>.+)"),
    **dict.fromkeys(("carbon", "grommet", "react_pdf"), _FILES),
    "js": lines(
        _MOCHA[0],
        (r"\d+\) +(?P<name>.+):", "FAILED"),
        (r"\[W\] *\d+\) +(?P<name>.+)", "FAILED"),
        _MOCHA[2],
        clean=without_time,
    ),
    "js_2": lines(*_MOCHA, clean=without_time),
    "js_4": lines(
        r"(?P<status>[✔✓✘✖×○◌◦⚪])\s*(?:\[[^\]]*\]:)?(?: *:)? *(?P<name>.+)",
        (r"(?P<name>.+?) *(?:\(skipped\)|\[(?:skip|skipped|pending|todo)\])", "SKIPPED"),
        clean=without_time,
    ),
    "npx": lines(
        (r"✔ +(?P<name>.+?)(?: +\(\d+(?:ms)?\))?", "PASSED"),
        (r"\d+\) +(?P<name>.+?)(?: +\([^)]+\))?", "FAILED"),
    ),
    # PHP, Ruby
    "php_v1": lines(
        (r"FAIL(?:ED)?\s+(?P<name>\S.+)", "FAILED"),
        (r"[⨯xX] +(?P<name>.+)", "FAILED"),
        (r"- +(?P<name>.+)", "SKIPPED"),
        (r"[✓✔] +(?P<name>.+)", "PASSED"),
        clean=without_time,
    ),
    "cucumber": lines(_CUCUMBER),
    "ruby_unit": lines(r"(?:test: )?(?P<name>.+):\s+(?P<status>[.EFO])(?!\w).*"),
    "rspec_transformed_json": lines(r"(?P<name>.+) - (?P<status>passed|failed|pending)"),
    # others
    "elixir": lines(
        (r"\* +test +(?P<name>.*?) +\(skipped\) +\[L#\d+\]", "SKIPPED"),
        (r"\* +test +(?P<name>.*?)(?: +\([\d.]+ms\))? +\[L#\d+\]", "PASSED"),
        (r"\d+\) +test +(?P<name>.*?) +\([^)]+\)", "FAILED"),
    ),
    "lua_nvim": lines(r"(?P<status>Success|Fail|Skip)(?:ed|ped)?\s*\|\|\s*(?P<name>.+)"),
    "haskell": lines(
        r"(?!.*(?:Test suite |Linking |Building |Running  ))"
        r"(?P<name>.+?)\s*:\s*(?P<status>OK|PASS|FAIL|ERROR|SKIP|PENDING)(?!\w).*",
        r"(?P<name>.+?)\s+\[(?P<status>[✓✔✗✘])\]",
        (r"[✓✔]\s+(?P<name>.+?)(?:\s+\([^()]*\))?", "PASSED"),
        (r"[✗✘]\s+(?P<name>.+)", "FAILED"),
        (r"\d+\)\s+(?P<name>.+)", "FAILED"),
        r"###\s+(?P<status>Failure|Error)\s+in:\s+(?P<name>.+)",
    ),
    "r": lines(
        r"(?P<status>[✔✖]) +\|[^|]+\| +(?P<name>.+?)(?: *\[ *\d+(?:\.\d+)? *[a-zA-Z]+\])?",
        r"(?P<status>Failure|Error) +\([^)]+\): +(?P<name>.+?)(?: *\[ *\d+(?:\.\d+)? *[a-zA-Z]+\])?",
    ),
    "ocaml": lines(
        r"\[(?P<status>OK|PASS|FAIL|FAILED|ERROR|ERR|SKIP|SKIPPED|TODO)\]\s+(?P<name>.*?\s+\d+\s+.+)", clean=_one_space
    ),
    "ocaml_v3": lines(
        r"\[(?P<status>OK|PASS(?:ED)?|SUCCESS|SKIP(?:PED)?|TODO|PENDING|DISABLED|FAIL(?:ED)?|ERROR|EXCEPTION|CRASH"
        r"|FATAL|KO|PANIC|(?i:ok|pass|fail|error|skip))\]\s+(?P<name>.+)",
        clean=_one_space,
    ),
    **dict.fromkeys(
        ("ocaml_v4", "ocaml_v5"),
        lines(r"(?P<status>PASSED|FAILED|ERROR|SKIPPED)\s+(?P<name>\S.*?)(?:\s{2,}.*)?"),
    ),
}
"""The family that reads a parser's logs, by the parser's name without `parse_log_`."""
