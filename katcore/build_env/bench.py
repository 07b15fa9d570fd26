"""The runs of one change's tests, each in a fresh box without a network, as in a grading; and how many were made.

In: the source, the sandbox and the test files that all runs of a change share. Out: `TestRun`s, evidence of each, and
counts. What the runs prove is told in `trials.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from katcore.build_env.recipe import Recipe
from katcore.build_env.validate import is_test_id
from katcore.environment.built import box_spec
from katcore.environment.scan import leaks
from katcore.environment.workspace import workspace
from katcore.errors import RecordError, Rejected
from katcore.records import Change, Environment, Json, Task, TaskSource, TestFile
from katcore.sandbox import Box, Limits, Sandbox
from katcore.source.quoting import place
from katcore.testrun.guard import Guard, source_folders
from katcore.testrun.run import TestRun, prepare, run_tests

State = Literal["before", "after"]
"""The code as it was, or with the change's source patch; the tests are the change's own in both."""

SHOWN = 50
"""The most test ids, or characters of a list, that go into the evidence of a rejection."""


@dataclass(frozen=True)
class Made:
    """A run that was made; `files`: of the test files that hold these tests alone, where it was not the whole suite."""

    state: State
    run: TestRun
    files: tuple[str, ...] = ()

    def evidence(self) -> Json:
        """What is kept of it, with nothing that differs from one machine to the next."""
        out: Json = {"state": self.state, "exit_code": self.run.exit_code, "counts": self.run.counts()}
        out["outcomes_sha256"] = self.run.digest()
        if self.files:
            out["files"] = list(self.files)
        return out | ({"problem": self.run.problem} if self.run.problem else {})


@dataclass(frozen=True)
class Bench:
    """What all runs of one change share, and the runs in the order in which they were made."""

    change: Change
    source: TaskSource
    sandbox: Sandbox
    files: dict[str, TestFile]
    timeout_s: float
    limits: Limits
    made: list[Made] = field(default_factory=list)

    def run(self, environment: Environment, state: State, files: Sequence[str] = ()) -> TestRun:
        """The run of the suite, or of some of its files, in a fresh box; one whose set-up fails has no outcomes."""
        run = self._run(environment, self.change.patch if state == "after" else "", files)
        self.made.append(Made(state, run, tuple(files)))
        return run

    def _run(self, environment: Environment, patch: str, files: Sequence[str]) -> TestRun:
        base = workspace(self.source)
        free = source_folders(self.change.patch)
        tests = frozenset(map(place, self.files))
        kept = Guard(tests, environment, lambda name: os.path.lexists(base / name), free).keep(patch)
        box = self._box(environment)
        try:
            prepare(box, environment, patch=kept.patch, test_files=self.files)
            return run_tests(box, environment, tests=files, timeout_s=self.timeout_s)
        except RecordError as error:
            if error.stage != "setup":
                raise
            return TestRun(exit_code=1, problem="setup", log_tail=error.reason)
        finally:
            box.close()

    def look(self, environment: Environment, recipe: Recipe) -> None:
        """Reject a change whose answer lies where the agent will be."""
        box = self._box(environment)
        try:
            found = leaks(box, self.change.patch, recipe.name, recipe.version)
        finally:
            box.close()
        if found:
            raise Rejected("scan", "answer_on_disk", {"found": found[:SHOWN]})

    def _box(self, environment: Environment) -> Box:
        base = workspace(self.source)
        return self.sandbox.create(box_spec("build-env", environment, base, self.sandbox, limits=self.limits))

    def evidence(self) -> list[Json]:
        """The evidence of all runs in which a test ran: whole suites before and after the change, then parts."""
        ordered = sorted(self._began(), key=lambda made: (bool(made.files), made.state == "after"))
        return [made.evidence() for made in ordered]

    def counts(self) -> Json:
        """How many runs were made: of the whole suite, of some of its files, and tries that came to no test."""
        began = list(self._began())
        whole = sum(not made.files for made in began)
        return {"suite": whole, "files": len(began) - whole, "not_started": len(self.made) - len(began)}

    def _began(self) -> Iterator[Made]:
        return (made for made in self.made if began(made.run))


def began(run: TestRun) -> bool:
    """Whether a run came to its tests, as far as can be told: a run that ends without a report says nothing of them."""
    return any(map(is_test_id, run.outcomes)) or run.problem.partition(":")[0] in ("timeout", "inconsistent")


def tally(what: object) -> dict[str, float]:
    """What a task, or a change that was turned away, adds to the summary: the runs of whole suites that it took."""
    evidence = what.evidence.yields if isinstance(what, Task) else what.evidence if isinstance(what, Rejected) else {}
    made = evidence.get("runs_made")
    return {"suite_runs": made["suite"]} if isinstance(made, dict) and made["suite"] else {}
