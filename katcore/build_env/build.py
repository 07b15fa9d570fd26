"""One change through all stages: select, source, recipe, statement, environment, runs after and before, record.

In: a change. Out: one task; `Rejected` with the stage that turned the change away; `RecordError` when this machine or
the index failed, which says nothing about the change. Every run is made in a fresh box without a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from katcore.build_env.bench import SHOWN, Bench, began
from katcore.build_env.implementation import names_below
from katcore.build_env.instruction import problem_statement
from katcore.build_env.options import BuildOptions
from katcore.build_env.recipe import NoRecipe, Recipe, detect
from katcore.build_env.resolve import Resolution, Unresolved, resolutions
from katcore.build_env.test_files import wanted_files
from katcore.build_env.trials import decide, usable
from katcore.build_env.validate import Finding
from katcore.environment import clock
from katcore.environment.built import environment_digest, this_base, this_platform
from katcore.environment.patch import BadPatch
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
from katcore.sandbox import WORKDIR, Limits, name_of, sandbox
from katcore.source.checkout import source_of
from katcore.source.diff import paths
from katcore.streams import Line
from katcore.testrun.run import TestRun


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
        statement = problem_statement(change, lambda names: names_below(workspace(source), names))
        limits = Limits(memory_mib=self.options.memory)
        bench = Bench(change, source, sandbox(name_of(self.options.boxes)), files, self.options.timeout, limits)
        try:
            environment, resolution, first = _environment(
                recipe, bench, clock.chosen(self.options.clock, change.created_at)
            )
            bench.look(environment, recipe)
            finding = decide(bench, environment, first, self.options.runs)
        except Rejected as turned_away:
            counted = turned_away.evidence | {"runs_made": bench.counts()}
            raise Rejected(turned_away.stage, turned_away.reason, counted) from turned_away
        evidence = _evidence(finding, bench, recipe, resolution)
        return _task(change, source, environment, files, finding, evidence, statement)


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


def _environment(recipe: Recipe, bench: Bench, starts: str) -> tuple[Environment, Resolution, TestRun]:
    """The first environment in which the tests of the finished change run at all, and that run.

    Where tests run and none passes no other environment is tried: what they need is there.
    """
    tried: list[Json] = []
    try:
        for resolution in resolutions(recipe, bench.change.created_at):
            environment = _record(recipe, resolution, starts)
            run = bench.run(environment, "after")
            if "PASSED" in run.outcomes.values():
                return environment, resolution, run
            tried.append(bench.made[-1].evidence() | {"cap": resolution.cap, "log": run.log_tail[-1500:]})
            if began(run):
                usable("after", run)
                break
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


def _evidence(finding: Finding, bench: Bench, recipe: Recipe, resolution: Resolution) -> Evidence:
    counts: Json = {
        "tests": sum(map(len, (finding.fail_to_pass, finding.pass_to_pass, finding.flaky, finding.excluded)))
    }
    counts |= {"fail_to_pass": len(finding.fail_to_pass), "pass_to_pass": len(finding.pass_to_pass)}
    counts |= {"runs_made": bench.counts()}
    probes: Json = {
        "requirements": list(resolution.requirements),
        "uploaded_before": resolution.cap or None,
        "version": recipe.version,
        **_left_out(recipe),
    }
    return Evidence(runs=bench.evidence(), flaky=finding.flaky, excluded=finding.excluded, probes=probes, yields=counts)


def _task(
    change: Change,
    source: TaskSource,
    environment: Environment,
    files: dict[str, TestFile],
    finding: Finding,
    evidence: Evidence,
    statement: str,
) -> Task:
    return Task(
        instance_id=instance_id(change),
        repo=change.repo,
        base_commit=change.base_commit,
        created_at=change.created_at,
        labels=change.labels,
        license=change.license,
        problem_statement=statement,
        instruction=Instruction(kind="template", variant="change"),
        source=source,
        environment=environment,
        verification=Verification(kind="tests", FAIL_TO_PASS=finding.fail_to_pass, PASS_TO_PASS=finding.pass_to_pass),
        patch=change.patch,
        test_patch=change.test_patch,
        test_files=files,
        evidence=evidence,
    )
