"""Which runs decide about a change, in the order that costs least.

In: a bench, an environment, the first run after the change. Out: a `Finding`, or `Rejected`. One run after and one
before decide whether any test turns from failing to passing: a change without one costs no third. Where a test seems
broken, the files of such tests are run again and not the suite. The suite is repeated for what survives: that tells
which of its tests are flaky.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from katcore.build_env.bench import SHOWN, Bench, State
from katcore.build_env.validate import Finding, compare
from katcore.errors import Rejected
from katcore.records import Environment, Json
from katcore.testrun.grade import MISSING
from katcore.testrun.run import TestRun
from katcore.testrun.runners import units_of


def decide(bench: Bench, environment: Environment, first: TestRun, runs: int) -> Finding:
    """What `runs` runs before and as many after the change tell; `first` is the first one after it."""
    made: dict[State, list[TestRun]] = {"before": [_whole(bench, environment, "before")], "after": [first]}
    finding = compare(made["before"], made["after"])
    if not finding.fail_to_pass:
        raise _turned_away(bench, "f2p", "no_f2p", finding)
    unstable = _unstable(
        bench, environment, finding.broken, {state: run.outcomes for state, [run] in made.items()}, runs - 1
    )
    finding = compare(made["before"], made["after"], unstable)
    if finding.broken:
        raise _turned_away(bench, "p2p", "p2p_broken", finding)
    for _ in range(runs - 1):
        for state, so_far in made.items():
            so_far.append(_whole(bench, environment, state))
            finding = compare(made["before"], made["after"], unstable)
            if not finding.fail_to_pass:
                raise _turned_away(bench, "f2p", "flaky", finding)
    return finding


def usable(state: State, run: TestRun) -> TestRun:
    """The run; a change whose run proves nothing is turned away."""
    if run.problem:
        evidence = {"state": state, "problem": run.problem, "exit_code": run.exit_code, "log": run.log_tail[-1500:]}
        raise Rejected(f"{state}_run", run.problem.partition(":")[0], evidence)
    return run


def _whole(bench: Bench, environment: Environment, state: State) -> TestRun:
    return usable(state, bench.run(environment, state))


def _unstable(
    bench: Bench, environment: Environment, broken: Sequence[str],
    seen: Mapping[State, Mapping[str, str]], rounds: int,
) -> frozenset[str]:  # fmt: skip
    """Those of the broken tests that come out otherwise than `seen` when their files alone are run again."""
    left = list(broken)
    for _ in range(rounds):
        for state, outcomes in seen.items():
            if not left:
                break
            run = bench.run(environment, state, units_of(left))
            if not run.problem:
                left = [test for test in left if run.outcomes.get(test, MISSING) == outcomes.get(test, MISSING)]
    return frozenset(broken) - frozenset(left)


def _turned_away(bench: Bench, stage: str, reason: str, finding: Finding) -> Rejected:
    seen: Json = {"runs": bench.evidence(), "flaky": finding.flaky[:SHOWN]}
    return Rejected(stage, reason, seen | ({"broken": finding.broken[:SHOWN]} if finding.broken else {}))
