"""Validate tasks: doing nothing fails, the known change passes three times, wrong changes and cheats earn nothing.

In: tasks. Out: the same tasks with `evidence.probes.validation`, or Rejected with the stage that turned the task away
and what was seen. Every probe is graded as an attempt is, in boxes of its own. A probe that is finished is kept in the
cache under a name made of the task, the probe and the kind of sandbox, so that a validation that was killed goes on
where it was, and gives the same evidence. What the infrastructure fails is a dead letter, never a verdict on the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from katcore.disk.cache import cache_dir, digest_of, locked
from katcore.disk.whole import write_whole
from katcore.environment.built import box_spec
from katcore.environment.scan import leaks
from katcore.environment.workspace import workspace
from katcore.errors import InputError, RecordError, Rejected
from katcore.pool import Item
from katcore.records import Json, Task, Verdict, key_of
from katcore.sandbox import name_of, sandbox
from katcore.streams import Line, splice
from katcore.testrun.test_files import with_test_files
from katcore.verify.grader import VERSION, Grader
from katcore.verify.options import TestOptions, ValidateOptions
from katcore.verify.probes import Probe, covers, probes

SHOWN = 20
"""The most entries of a list that go into the evidence."""


def items(lines: Iterable[Line]) -> Iterator[Item]:
    """A work item for each task of the stream."""
    for line in lines:
        record = line.record
        if isinstance(record, Task):
            yield Item(
                key_of(record),
                (record, line.raw),
                shard=record.instance_id,
                raw=line.raw,
                line=line.number,
                source=line.source,
            )


@dataclass
class ProbeVerdicts:
    """The verdicts of a task's probes, by kind and name."""

    verdicts: dict[str, dict[str, Verdict]] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Verdict]:
        """The verdicts of one kind, by the probe's name."""
        return self.verdicts.get(kind, {})

    def passed(self, kind: str) -> list[str]:
        """The probes of a kind that earned the reward."""
        return [name for name, verdict in self.of(kind).items() if verdict.passed]


@dataclass(frozen=True)
class Validator:
    """Validates tasks whose verification is by tests."""

    options: ValidateOptions = ValidateOptions()

    def __post_init__(self) -> None:
        """Raise UsageError for a sandbox that is not there, before any input is read."""
        _ = self.sandbox

    @property
    def sandbox(self) -> str:
        """The sandbox's whole name."""
        return name_of(self.options.boxes)

    def __call__(self, item: Item) -> Iterator[bytes]:
        task, raw = item.payload
        evidence = task.evidence
        evidence.probes = {**evidence.probes, "validation": self.validate(task)}
        yield splice(raw, evidence=evidence)

    def validate(self, task: Task) -> Json:
        """The evidence that a task is sound. Raises Rejected where it is not, RecordError where that cannot be told."""
        if task.verification.kind != "tests":
            raise RecordError("task", f"validation needs verification by tests, not {task.verification.kind}")
        if not task.patch.strip():
            raise Rejected("gold", "no_known_change")
        try:
            base = workspace(task.source)
        except InputError as error:
            raise RecordError("source", str(error)) from error
        task = with_test_files(task)
        self._look(task, base)
        seen = ProbeVerdicts()
        for probe in probes(task, base):
            seen.verdicts.setdefault(probe.kind, {})[probe.name] = self._graded(task, probe)
            if probe.kind in ("noop", "gold"):
                _sound(seen, self.sandbox)
        return _judged(seen, self.sandbox, covers(task.patch))

    def _look(self, task: Task, base: Path) -> None:
        """Reject a task whose answer lies where the agent will be."""
        boxes = sandbox(self.sandbox)
        box = boxes.create(box_spec("validate", task.environment, base, boxes))
        try:
            found = leaks(box, task.patch)
        finally:
            box.close()
        if found:
            raise Rejected("scan", "answer_on_disk", {"sandbox": self.sandbox, "found": found[:SHOWN]})

    def _graded(self, task: Task, probe: Probe) -> Verdict:
        """The probe's verdict, kept once it is had. RecordError when the infrastructure fails."""
        what = (task.source, task.environment, task.verification, sorted(task.test_files.items()), task.patch)
        parts = (VERSION, self.sandbox, f"{self.options.timeout}", msgspec.json.encode(what))
        final = cache_dir("validate") / digest_of(*parts, probe.kind, probe.name, probe.patch, str(probe.run))
        with locked(final):
            if self.options.reuse and final.is_file():
                return msgspec.json.decode(final.read_bytes(), type=Verdict)
            verdict = Grader(TestOptions(boxes=self.options.boxes, timeout=self.options.timeout, reuse=False)).grade(
                task, probe.patch
            )
            if verdict.masked:
                raise RecordError(probe.name, verdict.reason)
            write_whole(final, msgspec.json.encode(verdict))
        return verdict


def _sound(seen: ProbeVerdicts, sandbox: str) -> None:
    """Doing nothing must fail what it should and break nothing; the known change must pass, and each time the same."""
    evidence = _evidence(seen, sandbox)
    noop = seen.of("noop").get("noop")
    if noop is not None and noop.passed:
        raise Rejected("noop", "passes_unchanged", evidence)
    if noop is not None and noop.parts.get("f2p", [0])[0]:
        raise Rejected("noop", "f2p_passes_unchanged", evidence)
    if noop is not None and len(set(noop.parts.get("p2p", [0]))) > 1:
        raise Rejected("noop", "p2p_fails_unchanged", evidence)
    gold = seen.of("gold")
    if len(seen.passed("gold")) < len(gold):
        flaky = len({msgspec.json.encode(verdict.parts) for verdict in gold.values()}) > 1 or seen.passed("gold")
        raise Rejected("gold", "flaky" if flaky else "known_change_fails", evidence)


def _judged(seen: ProbeVerdicts, sandbox: str, whole: bool) -> Json:
    """The evidence of a task whose wrong and cheating probes all fail. Raises Rejected for any other.

    Of a large change (`whole` is false) only samples were tried: that no test sees these is evidence, no rejection.
    """
    evidence = _evidence(seen, sandbox)
    if cheats := seen.passed("cheat"):
        raise Rejected("cheat", "cheat_passes", evidence | {"passed": cheats})
    wrong = seen.of("wrong")
    if whole and wrong and len(seen.passed("wrong")) == len(wrong):
        raise Rejected("wrong", "tests_do_not_see_the_change", evidence | {"passed": sorted(wrong)})
    return evidence


def _evidence(seen: ProbeVerdicts, sandbox: str) -> Json:
    """What was seen, as JSON; nothing in it differs from one run to the next."""
    out: Json = {"sandbox": sandbox, "grading": VERSION}
    for kind, verdicts in seen.verdicts.items():
        out[kind] = {name: _brief(kind, verdict) for name, verdict in verdicts.items()}
    wrong = seen.of("wrong")
    if wrong:
        out["wrong_caught"] = [len(wrong) - len(seen.passed("wrong")), len(wrong)]
    return out


def _brief(kind: str, verdict: Verdict) -> Json:
    if kind == "cheat":  # how one fails may depend on who is faster, it or the test run
        return {"reward": verdict.reward}
    out: Json = {"reward": verdict.reward, "reason": verdict.reason[:200]}
    return out | ({"flags": verdict.flags[:SHOWN]} if verdict.flags else {})
