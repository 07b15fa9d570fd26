"""One change through all stages: select, source, recipe, environment, runs after and before, lists, record.

In: a change. Out: one task; `Rejected` with the stage that turned the change away; `RecordError` when this machine or
the index failed, which says nothing about the change. Every run is made in a fresh box without a network.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from katcore.build_env.instruction import problem_statement
from katcore.build_env.options import BuildOptions
from katcore.build_env.recipe import NoRecipe, Recipe, detect
from katcore.build_env.resolve import Resolution, Unresolved, resolutions
from katcore.build_env.test_files import wanted_files
from katcore.build_env.validate import Finding, compare, evidence_of
from katcore.environment import clock
from katcore.environment.built import box_spec, environment_digest, this_base, this_platform
from katcore.environment.patch import BadPatch
from katcore.environment.scan import leaks
from katcore.environment.workspace import patched, workspace
from katcore.errors import InputError, RecordError, Rejected
from katcore.pool import Item
from katcore.records import (
    Change,
    Environment,
    Evidence,
    Instruction,
    Json,
    Task,
    TaskSource,
    TestFile,
    Verification,
    item_key,
    key_of,
)
from katcore.sandbox import WORKDIR, Box, Limits, Sandbox, name_of, sandbox
from katcore.source.checkout import source_of
from katcore.source.diff import paths
from katcore.source.quoting import place
from katcore.streams import Line
from katcore.testrun.guard import Guard, source_folders
from katcore.testrun.run import TestRun, prepare, run_tests

SHOWN = 50
"""The most test ids, or characters of a list, that go into the evidence of a rejection."""


def instance_id(change: Change) -> str:
    """The task's id, known before any work."""
    return f"{change.repo.replace('/', '__')}-{change.id[:12]}"


def items(lines: Iterable[Line]) -> Iterator[Item]:
    """Changes are work; tasks that are already there pass through; anything else is the wrong input."""
    for line in lines:
        record = line.record
        if isinstance(record, Change):
            key = item_key(Task, instance_id(record))
            yield Item(key, payload=record, shard=record.id, raw=line.raw, line=line.number, source=line.source)
        elif isinstance(record, Task):
            yield Item(key_of(record), shard=record.instance_id, forward=line.raw, line=line.number)
        else:
            raise InputError(f"{line.source}:{line.number}: kat-build-env takes kat.change records, not {line.kind}")


@dataclass(frozen=True)
class _Bench:
    """The sandbox, the repository and the test files that all runs of one change share."""

    source: TaskSource
    sandbox: Sandbox
    files: dict[str, TestFile]
    timeout_s: float
    limits: Limits
    known: str

    def run(self, environment: Environment, patch: str) -> TestRun:
        """The run of the tests in a fresh box, as in a grading; one whose set-up fails has no outcomes."""
        base = workspace(self.source)
        free = source_folders(self.known)
        tests = frozenset(map(place, self.files))
        kept = Guard(tests, environment, lambda name: os.path.lexists(base / name), free).keep(patch)
        box = self._box(environment)
        try:
            prepare(box, environment, patch=kept.patch, test_files=self.files)
            return run_tests(box, environment, timeout_s=self.timeout_s)
        except RecordError as error:
            if error.stage != "setup":
                raise
            return TestRun(exit_code=1, problem="setup", log_tail=error.reason)
        finally:
            box.close()

    def look(self, environment: Environment, change: Change, recipe: Recipe) -> None:
        """Reject a change whose answer lies where the agent will be."""
        box = self._box(environment)
        try:
            found = leaks(box, change.patch, recipe.name, recipe.version)
        finally:
            box.close()
        if found:
            raise Rejected("scan", "answer_on_disk", {"found": found[:SHOWN]})

    def _box(self, environment: Environment) -> Box:
        base = workspace(self.source)
        return self.sandbox.create(box_spec("build-env", environment, base, self.sandbox, limits=self.limits))


@dataclass(frozen=True)
class Builder:
    """The stage's configuration; call it with an item."""

    options: BuildOptions = BuildOptions()

    def __post_init__(self) -> None:
        """Raise UsageError for a sandbox or a clock that is none, before any work."""
        _ = name_of(self.options.boxes)
        if self.options.clock != "change":
            clock.chosen(self.options.clock, "")

    def __call__(self, item: Item) -> Iterator[Task]:
        """Yield the task that is built from the item's change."""
        yield self.build(item.payload)

    def build(self, change: Change) -> Task:
        """The task of a change. Raises Rejected where it is no good one, RecordError where it cannot be built here."""
        _select(change)
        source = source_of(change)
        recipe, files = _look(change, source)
        limits = Limits(memory_mib=self.options.memory)
        bench = _Bench(source, sandbox(name_of(self.options.boxes)), files, self.options.timeout, limits, change.patch)
        environment, resolution, first = _environment(
            change, recipe, bench, clock.chosen(self.options.clock, change.created_at)
        )
        bench.look(environment, change, recipe)
        after = [first, *(bench.run(environment, change.patch) for _ in range(self.options.runs - 1))]
        before = [bench.run(environment, "") for _ in range(self.options.runs)]
        _usable("after_run", after)
        _usable("before_run", before)
        finding = compare(before, after)
        runs = [*(evidence_of("before", run) for run in before), *(evidence_of("after", run) for run in after)]
        _keep(finding, runs)
        return _task(change, source, environment, files, finding, _evidence(finding, runs, recipe, resolution))


def _select(change: Change) -> None:
    if not change.patch.strip():
        raise Rejected("select", "no_source_patch")
    if not change.test_patch.strip():
        raise Rejected("select", "no_test_patch")
    for what, patch in (("source", change.patch), ("test", change.test_patch)):
        if not any(path.endswith((".py", ".pyx", ".c", ".pyi")) for path in paths(patch)):
            raise Rejected("select", "not_python", {"patch": what, "files": paths(patch)[:SHOWN]})


def _look(change: Change, source: TaskSource) -> tuple[Recipe, dict[str, TestFile]]:
    touched = paths(change.test_patch)
    try:
        with patched(source, change.patch, change.test_patch) as folder:
            recipe = detect(folder, touched)
            return recipe, wanted_files(folder, touched, recipe.source_dirs)
    except BadPatch as error:
        raise Rejected("source", "patch_does_not_apply", {"detail": str(error)[:500]}) from error
    except NoRecipe as error:
        raise Rejected("recipe", "no_recipe", {"detail": str(error)}) from error
    except InputError as error:
        raise RecordError("source", str(error)) from error


def _environment(change: Change, recipe: Recipe, bench: _Bench, starts: str) -> tuple[Environment, Resolution, TestRun]:
    """The first environment in which the tests of the finished change run at all, and that run."""
    tried: list[Json] = []
    try:
        for resolution in resolutions(recipe, change.created_at):
            environment = _record(recipe, resolution, starts)
            run = bench.run(environment, change.patch)
            if "PASSED" in run.outcomes.values():
                return environment, resolution, run
            tried.append(evidence_of("after", run) | {"cap": resolution.cap, "log": run.log_tail[-1500:]})
    except Unresolved as error:
        raise Rejected("environment", "unresolved", {"detail": str(error)[:2000], **_left_out(recipe)}) from error
    raise Rejected("after_run", "nothing_passes", {"tried": tried, **_left_out(recipe)})


def _left_out(recipe: Recipe) -> Json:
    """Evidence of what the project asks for and the environment lacks; {} where it lacks nothing."""
    return {"left_out": list(recipe.notes[:SHOWN])} if recipe.notes else {}


def _record(recipe: Recipe, resolution: Resolution, starts: str) -> Environment:
    base, platform, lock = this_base(), this_platform(), list(resolution.lock)
    return Environment(
        recipe=recipe.kind,
        base=base,
        lock=lock,
        setup=list(recipe.setup),
        workdir=WORKDIR,
        test_command=recipe.test_command,
        env=recipe.env | ({clock.CLOCK: starts} if starts else {}),
        platform=platform,
        digest=environment_digest(base, platform, lock),
    )


def _usable(stage: str, runs: list[TestRun]) -> None:
    for run in runs:
        if run.problem:
            word = run.problem.partition(":")[0]
            raise Rejected(stage, word, evidence_of(stage, run) | {"log": run.log_tail[-1500:]})


def _keep(finding: Finding, runs: list[Json]) -> None:
    seen: Json = {"runs": runs, "flaky": finding.flaky[:SHOWN]}
    if finding.broken:
        raise Rejected("p2p", "p2p_broken", seen | {"broken": finding.broken[:SHOWN]})
    if not finding.fail_to_pass:
        raise Rejected("f2p", "flaky" if finding.flaky else "no_f2p", seen)


def _evidence(finding: Finding, runs: list[Json], recipe: Recipe, resolution: Resolution) -> Evidence:
    counts = {"tests": sum(map(len, (finding.fail_to_pass, finding.pass_to_pass, finding.flaky, finding.excluded)))}
    counts |= {"fail_to_pass": len(finding.fail_to_pass), "pass_to_pass": len(finding.pass_to_pass)}
    probes: Json = {
        "requirements": list(resolution.requirements),
        "uploaded_before": resolution.cap or None,
        "version": recipe.version,
        **_left_out(recipe),
    }
    return Evidence(runs=runs, flaky=finding.flaky, excluded=finding.excluded, probes=probes, yields=counts)


def _task(
    change: Change,
    source: TaskSource,
    environment: Environment,
    files: dict[str, TestFile],
    finding: Finding,
    evidence: Evidence,
) -> Task:
    return Task(
        instance_id=instance_id(change),
        repo=change.repo,
        base_commit=change.base_commit,
        created_at=change.created_at,
        labels=change.labels,
        license=change.license,
        problem_statement=problem_statement(change),
        instruction=Instruction(kind="template", variant="change"),
        source=source,
        environment=environment,
        verification=Verification(kind="tests", FAIL_TO_PASS=finding.fail_to_pass, PASS_TO_PASS=finding.pass_to_pass),
        patch=change.patch,
        test_patch=change.test_patch,
        test_files=files,
        evidence=evidence,
    )
