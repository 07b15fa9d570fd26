"""The test runners that KAT knows: how each is run so that it writes a report, and what it says by its exit status.

A task names its runner in `environment.report.kind`. A command is a line of bash: `"$@"` are the units to run (none:
all of them), `$KAT_REPORT` is a folder outside the repository, of a random name, for the report. A task may have a
command of its own that writes the same report. Nothing is looked up on the network and no runner is installed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from katcore.errors import RecordError
from katcore.records import Environment
from katcore.testrun.reports import bundle, gotest, jest, junit, libtest, logs, mocha, rspec, tap, trx
from katcore.testrun.reports.outcome import BROKEN, Outcomes
from katcore.testrun.script import recorded

Read = Callable[[bytes, str], Outcomes]
"""(report, the repository's path in the box) → the outcomes of its tests."""
Units = Callable[[Sequence[str]], list[str]]
"""Units (the ids' first parts) → the arguments that make a runner run them; no arguments: it must run everything."""

_MODULES = r"(.*/)?node_modules/.*"  # the runner itself lies there
_LISTENERS = r"(.*/)?junit-platform\.properties|(.*/)?META-INF/services/org\.junit\..*"  # found by their names alone
_KEEP = "status=$?; "


@dataclass(frozen=True)
class Runner:
    """How a runner of tests is called, and how its result is read.

    `failed`: the exit statuses that go with a failing test; 0 goes with none, any other proves nothing.

    `hooks`: patterns of file names, beside those of Python, that change how this runner goes and that no attempt may
    bring (`guard.py`). `report` lies in `$KAT_REPORT`, and so does `script` where there is one.
    """

    command: str
    report: str
    read: Read
    failed: frozenset[int] = frozenset({1})
    units: Units = list
    hooks: re.Pattern[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    script: str = ""

    def agrees(self, code: int, outcomes: Outcomes) -> bool:
        """Whether the exit status is the one that goes with the report."""
        broken = any(status in BROKEN for status in outcomes.statuses.values())
        return code in self.failed if broken else code == 0


def units_of(tests: Iterable[str]) -> list[str]:
    """The units that a runner must run for these tests to be run: the first parts of their ids."""
    return sorted({test.split("::", 1)[0] for test in tests})


def _cargo(units: Sequence[str]) -> list[str]:
    """cargo's arguments, `--lib` and `--test NAME`; a documentation test can only be run with everything."""
    arguments: list[str] = []
    for unit in units:
        if test := re.fullmatch(r"tests/(\w[\w-]*)\.rs", unit):
            arguments += ["--test", test[1]]
        elif unit.endswith("/src/lib.rs"):
            arguments += ["--lib"]
        else:
            return []
    return arguments


def _one(units: Sequence[str]) -> list[str]:
    """The arguments of runners that take one file or none: the unit, if there is just one."""
    return list(units) if len(units) == 1 else []


def _scripts(units: Sequence[str]) -> list[str]:
    """The arguments of node, whose ids begin with a file only in some of its versions."""
    return list(units) if all(re.search(r"\.[cm]?[jt]s$", unit) for unit in units) else []


def _joined(before: str, between: str, units: Sequence[str]) -> list[str]:
    return [before + between.join(units)] if units else []


def _each(option: str, units: Sequence[str]) -> list[str]:
    return [argument for unit in units for argument in (option, unit)]


def _matching(units: Sequence[str]) -> list[str]:
    """ctest's arguments: the names as one regular expression, as it has no other way to choose several."""
    names = "|".join(re.sub(r"([][.^$*+?()|\\])", r"\\\1", unit) for unit in units)
    return ["-R", f"^({names})$"] if units else []


def _nextest(units: Sequence[str]) -> list[str]:
    """nextest's arguments, whole packages: a binary's id is the package's name, or that, `::` and its own."""
    return ["-E", " + ".join(f"package(={unit})" for unit in units)] if units else []


def _packed(found: str) -> str:
    """The command that packs the reports below folders of this name; those of an earlier run were removed before."""
    return f"find . -path '*/{found}/*' -name '*.xml' | tar cf \"$KAT_REPORT/report.tar\" -T -; exit $status"


def _removed(found: str) -> str:
    return f"find . -path '*/{found}/*' -name '*.xml' -delete; "


RUNNERS: dict[str, Runner] = {
    "pytest": Runner(
        "/opt/env/bin/python -m pytest -q -p kat_nodeid -p no:cacheprovider --continue-on-collection-errors"
        ' -o junit_family=xunit1 --junitxml="$KAT_REPORT/report.xml" "$@"',
        "report.xml",
        partial(junit.read_junit, identify=junit.by_file),
        failed=frozenset({1, 2}),
    ),
    "unittest": Runner(
        'if [ $# = 0 ]; then set -- discover; fi; /opt/env/bin/python -m xmlrunner "$@"'
        ' --output-file "$KAT_REPORT/report.xml"',
        "report.xml",
        partial(junit.read_junit, identify=junit.by_method),
    ),
    "go": Runner(
        'go test -json "${@:-./...}" > "$KAT_REPORT/report.json"',
        "report.json",
        gotest.read_gotest,
        failed=frozenset({1, 2}),
        hooks=re.compile(r"(.*/)?[^/]*_test\.go"),  # one that is new can have the package's TestMain
        env={"GOPROXY": "off", "GOCACHE": "/tmp/go-cache", "GOTOOLCHAIN": "local"},
    ),
    "cargo": Runner(
        'cargo test --offline --no-fail-fast --color never "$@" > "$KAT_REPORT/report.txt" 2>&1',
        "report.txt",
        libtest.read_libtest,
        failed=frozenset({101}),
        units=_cargo,
        hooks=re.compile(r"(.*/)?\.cargo/config(\.toml)?"),
        env={"CARGO_HOME": "/tmp/cargo-home", "RUST_TEST_THREADS": "2"},
    ),
    "nextest": Runner(
        'printf "[profile.default.junit]\\npath = \\"junit.xml\\"\\n" > "$KAT_REPORT/nextest.toml"; '
        "rm -f target/nextest/default/junit.xml; "
        'cargo nextest run --offline --no-fail-fast --tool-config-file "kat:$KAT_REPORT/nextest.toml" "$@"; '
        + _KEEP
        + 'cp target/nextest/default/junit.xml "$KAT_REPORT/report.xml"; exit $status',
        "report.xml",
        partial(junit.read_junit, identify=junit.by_class),
        failed=frozenset({100}),
        units=_nextest,
        hooks=re.compile(r"(.*/)?\.(cargo/config(\.toml)?|config/nextest\.toml)"),
        env={"CARGO_HOME": "/tmp/cargo-home"},
    ),
    "jest": Runner(
        'if [ $# != 0 ]; then set -- --runTestsByPath "$@"; fi; '
        'node_modules/.bin/jest --ci --json --testLocationInResults --outputFile="$KAT_REPORT/report.json" "$@"',
        "report.json",
        jest.read_jest,
        hooks=re.compile(_MODULES + r"|(.*/)?(jest\.config\.\w+|__mocks__/.*|babel\.config\.\w+|\.babelrc(\.\w+)?)"),
    ),
    "vitest": Runner(
        'node_modules/.bin/vitest run --reporter=json --outputFile="$KAT_REPORT/report.json" "$@"',
        "report.json",
        jest.read_jest,
        hooks=re.compile(_MODULES + r"|(.*/)?(vitest\.(config|workspace)|vite\.config)\.\w+|(.*/)?__mocks__/.*"),
    ),
    "mocha": Runner(
        'node_modules/.bin/mocha --reporter json --reporter-option output="$KAT_REPORT/report.json" "$@"',
        "report.json",
        mocha.read_mocha,
        failed=frozenset(range(1, 256)),  # the number of failures
        hooks=re.compile(_MODULES + r"|(.*/)?\.mocharc(\.\w+)?|test/mocha\.opts"),
    ),
    "node": Runner(
        'node --test --test-reporter=tap --test-reporter-destination="$KAT_REPORT/report.tap" "$@"',
        "report.tap",
        tap.read_tap,
        units=_scripts,
    ),
    "maven": Runner(
        _removed("surefire-reports")
        + 'mvn --offline --batch-mode --fail-at-end -DfailIfNoTests=false -Dstyle.color=never test "$@"; '
        + _KEEP
        + _packed("surefire-reports"),
        "report.tar",
        partial(bundle.read_bundle, identify=junit.by_class),
        units=partial(_joined, "-Dtest=", ","),
        hooks=re.compile(r"(.*/)?\.mvn/.*|" + _LISTENERS),
    ),
    "gradle": Runner(
        _removed("test-results/test")
        + 'gradle --offline --no-daemon --continue test "$@"; '
        + _KEEP
        + _packed("test-results/test"),
        "report.tar",
        partial(bundle.read_bundle, identify=junit.by_class),
        units=partial(_each, "--tests"),
        hooks=re.compile(r"(.*/)?(gradle\.properties|init\.gradle(\.kts)?)|" + _LISTENERS),
    ),
    "ctest": Runner(
        "cmake -S . -B /tmp/kat-build >/dev/null && cmake --build /tmp/kat-build >/dev/null && "
        'ctest --test-dir /tmp/kat-build --output-junit "$KAT_REPORT/report.xml" "$@"',
        "report.xml",
        partial(junit.read_junit, identify=junit.by_name),
        failed=frozenset({8}),
        units=_matching,
        hooks=re.compile(r"(.*/)?CTest(Custom\.(cmake|ctest)(\.in)?|Config\.cmake)"),
    ),
    "phpunit": Runner(
        'phpunit --log-junit "$KAT_REPORT/report.xml" "$@"',
        "report.xml",
        partial(junit.read_junit, identify=junit.in_file_and_class),
        failed=frozenset({1, 2}),
        units=_one,
        hooks=re.compile(r"phpunit\.xml(\.dist)?|phpunit\.dist\.xml|\.phpunit\.result\.cache"),
    ),
    "rspec": Runner(
        'rspec --format json --out "$KAT_REPORT/report.json" "$@"',
        "report.json",
        rspec.read_rspec,
        hooks=re.compile(r"\.rspec(-local)?|\.simplecov|(.*/)?spec/((spec|rails)_helper\.rb|support/.*)"),
    ),
    "dotnet": Runner(
        'dotnet test --logger "trx;LogFileName=report.trx" --results-directory "$KAT_REPORT" "$@"',
        "report.trx",
        trx.read_trx,
        units=lambda units: ["--filter", "|".join(f"FullyQualifiedName~{unit}" for unit in units)] if units else [],
        hooks=re.compile(r"(.*/)?(\w+\.)?runsettings|(.*/)?Directory\.Build\.(props|targets)"),
        env={"DOTNET_CLI_TELEMETRY_OPTOUT": "1", "DOTNET_NOLOGO": "1"},
    ),
}
"""The runners by their name in a task's environment."""

# the same runners with a reporter for JUnit XML, for tasks that have such reports; ids are those of the JSON reports
RUNNERS |= {
    "jest-junit": replace(
        RUNNERS["jest"],
        command='if [ $# != 0 ]; then set -- --runTestsByPath "$@"; fi; '
        'JEST_JUNIT_OUTPUT_FILE="$KAT_REPORT/report.xml" node_modules/.bin/jest --ci --reporters=jest-junit "$@"',
        report="report.xml",
        read=partial(junit.read_junit, identify=junit.file_as_class),
        env={
            "JEST_JUNIT_CLASSNAME": "{filepath}",
            "JEST_JUNIT_TITLE": "{classname}::{title}",
            "JEST_JUNIT_ANCESTOR_SEPARATOR": "::",
            "JEST_JUNIT_REPORT_TEST_SUITE_ERRORS": "true",
        },
    ),
    "vitest-junit": replace(
        RUNNERS["vitest"],
        command='node_modules/.bin/vitest run --reporter=junit --outputFile="$KAT_REPORT/report.xml" "$@"',
        report="report.xml",
        read=partial(junit.read_junit, identify=junit.file_as_class),
    ),
    "mocha-xunit": replace(
        RUNNERS["mocha"],
        command='node_modules/.bin/mocha --reporter xunit --reporter-option output="$KAT_REPORT/report.xml" "$@"',
        report="report.xml",
        read=partial(junit.read_junit, identify=junit.in_file),
    ),
    "rspec-junit": replace(
        RUNNERS["rspec"],
        command="rspec --require rspec_junit_formatter --format RspecJunitFormatter"
        ' --out "$KAT_REPORT/report.xml" "$@"',
        report="report.xml",
        read=partial(junit.read_junit, identify=junit.by_file_alone),
    ),
}


def _logged(environment: Environment) -> Runner:
    """The runner of another dataset's script, whose output is the report; its name is that of the log's parser."""
    if not environment.test_command.strip():
        raise RecordError("report", f"a task of {environment.recipe} has no script that runs its tests")
    logs.family_of(environment.report.path)
    return Runner(
        'bash "$KAT_REPORT/script" > "$KAT_REPORT/log" 2>&1',
        "log",
        lambda data, _: logs.read_log(data, environment.report.path),
        failed=frozenset(range(256)),  # scripts end with 0 after a failure too
        units=lambda _: [],
        script=recorded(environment.test_command),
    )


def runner_of(environment: Environment) -> Runner:
    """The runner that a task names; RecordError when nobody knows it. `junit` is pytest's older name."""
    kind = environment.report.kind
    if kind == "log":
        return _logged(environment)
    name = "pytest" if kind == "junit" else kind
    if name not in RUNNERS:
        raise RecordError("report", f"unknown kind of report {kind!r} (one of: {', '.join(RUNNERS)})")
    return RUNNERS[name]
