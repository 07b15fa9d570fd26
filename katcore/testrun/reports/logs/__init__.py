"""Logs of test runs, for tasks of other people's datasets whose runner writes no report: SWE-bench and SWE-rebench.

In: what the test script printed, standard error among standard output, and the name that the dataset gives to its
parser. Out: `Outcomes` with the ids that this parser gives, so that they can be compared with the dataset's lists.

A log can be forged by any code that runs while it is written: more easily than a report in a folder with a secret name.
What can be told is refused here; what cannot has to be caught by the exit status (`script.py`) and by the control run.
A parser whose logs name only what failed is not known: there, a test that never ran looks like one that passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from katcore.errors import RecordError
from katcore.testrun.reports.logs import blocks, lines, python, suites
from katcore.testrun.reports.logs.python import Family
from katcore.testrun.reports.outcome import MAX_ID, BadReport, Outcomes, Status, text_of, worse

START, END = ">>>>> Start Test Output", ">>>>> End Test Output"
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0e-\x1f]")
_GAP = re.compile(r"[^\S\n]{200,}+")
_TIMES = (
    re.compile(r"\s*+\[\s*\d+(?:\.\d+)?\s*(?:ms|s)\s*\]\s*$", re.IGNORECASE),
    re.compile(r"\s++in\s+\d+(?:\.\d+)?\s+(?:msec|sec)\b", re.IGNORECASE),
    re.compile(r"\s*+\(\s*\d+(?:\.\d+)?\s*(?:ms|s)\s*\)\s*$", re.IGNORECASE),
)
"""How runners put times into names, and what SWE-rebench V2 takes out of both sides before it compares them."""

_PYTEST: dict[str, Family] = {
    **dict.fromkeys(
        (
            "pytest", "pytest_v2", "pytest_nebo", "seaborn", "astroid", "flask", "marshmallow", "pvlib", "pyvista",
            "sqlfluff", "xarray", "astropy", "scikit", "sphinx", "pydantic", "dvc",
        ),
        python.pytest,
    ),
    **dict.fromkeys(("pytest_options", "pydicom", "requests", "pylint"), python.pytest_options),
    "matplotlib": python.pytest_matplotlib,
    "cpp": python.pytest_last_part,
}  # fmt: skip
_PYTHON: dict[str, Family] = {**_PYTEST, "django": python.django, "sympy": python.sympy}
_OTHERS: dict[str, Family] = {**lines.FAMILIES, **blocks.FAMILIES, **suites.FAMILIES}
_FAMILIES: dict[str, Family] = {
    **{f"parse_log_{name}": family for name, family in {**_PYTHON, **_OTHERS}.items()},
    "parse_combined_test_reports": _OTHERS["r_junit"],
    **{f"parse_{name}": _OTHERS[name] for name in ("java_mvn", "java_mvn_v2")},
    **dict.fromkeys(("parse_lua_nvim", "parse_lue_nvim"), _OTHERS["lua_nvim"]),
    **{f"parse_logs_{name}": _OTHERS[name] for name in ("r_junit", "kotlin_junit")},
    "": python.pytest,  # older rows name none, and both datasets began with pytest
}
KNOWN: frozenset[str] = frozenset(_FAMILIES)
"""The names of all parsers that `read_log` knows."""
_CUT = frozenset({"", *(f"parse_log_{name}" for name in _PYTEST)})
_COLOUR = re.compile(r"\[\d+m")
_FAILURES_ONLY = frozenset(
    f"parse_log_{name}" for name in ("bpmn_js", "chart_js", "eslint", "marked", "openlayers", "p5js")
)
_UNTIMED = frozenset({"", *(f"parse_log_{name}" for name in _PYTHON)})


def read_log(data: bytes, parser: str) -> Outcomes:
    """The outcome of every test that the log names. Raises BadReport, and RecordError for an unknown parser."""
    family = family_of(parser)
    text = _GAP.sub(" ", _ESCAPE.sub("", _region(text_of(data))))
    found, outcomes = Outcomes(), Outcomes()
    family([line.rstrip()[:MAX_ID] for line in text.split("\n")], found)
    for name, status in found.statuses.items():
        outcomes.add(_named(name, parser), status)
    for name, entries in found.repeated.items():
        outcomes.repeated[_named(name, parser)] = entries
    return outcomes


def family_of(parser: str) -> Family:
    """The function that reads the logs of that parser. RecordError for one that is not known."""
    if parser not in _FAMILIES:
        why = ": its logs name only tests that failed" if parser in _FAILURES_ONLY else ""
        raise RecordError("report", f"unknown parser of logs {parser!r}{why}")
    return _FAMILIES[parser]


def aligned(statuses: Mapping[str, Status], expected: Iterable[str], parser: str) -> dict[str, Status]:
    """What the log says of tests as the dataset spells them; one that the log does not name is absent.

    An id is taken as it is; else without its times and with single spaces. pytest's may also have been cut at their
    first space, have lost a `[10m` that was taken for a colour, or have the message of an expected failure behind them:
    the worst of all tests that are spelt so counts.
    """
    spelt: dict[str, Status] = {}
    for name, status in statuses.items():
        for spelling in _spellings(name, parser):
            spelt[spelling] = worse(spelt.get(spelling, status), status)
    found: dict[str, Status] = {}
    for test in expected:
        spelling = " ".join(_named(test, parser).split())
        shorter = python.without_message(spelling) if parser in _CUT else spelling
        if known := statuses.get(test) or spelt.get(spelling) or spelt.get(shorter):
            found[test] = known
    return found


def _spellings(name: str, parser: str) -> set[str]:
    """How a dataset may spell the name that stands in a log."""
    names = {" ".join(_named(name, parser).split())}
    if parser in _CUT:
        names |= {_COLOUR.sub("", spelling) for spelling in names}
        names |= {spelling.partition(" ")[0] for spelling in names}
    return names


def _named(name: str, parser: str) -> str:
    """A test's name without times, and Django's without a migration before it. A time in a name of pytest's is a
    parameter.
    """
    if parser in _UNTIMED:
        return python.MIGRATION.sub("", name) if parser == "parse_log_django" else name
    for time in _TIMES:
        name = time.sub("", name)
    return name.strip() or name


def _region(text: str) -> str:
    """The text between the first start marker and the last end marker; without markers, all but an unfinished line.

    The script prints its start marker before any test runs, and its end marker after all have: markers that tests print
    lie between, and so cannot take anything away from what the runner says.
    """
    start, end = text.find(START), text.rfind(END)
    if start < 0 and end < 0:
        return text[: text.rfind("\n") + 1]
    if start < 0 or end < start:
        raise BadReport("the log has only one of its two markers: it was cut off")
    return text[start + len(START) : end]
