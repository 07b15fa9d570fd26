"""One rollout: a box with the task's repository, an agent in it, its calls at the gateway, its changes as a patch.

In: an attempt. Out: kat.trajectory. The box gets the repository at its base, the environment, the agent and a socket:
nothing of the task's verification, no other commit. When the box fails it is tried once more; then the trajectory says
so, and says nothing about the agent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from katcore.environment import clock
from katcore.environment.built import box_spec
from katcore.environment.variables import run_env
from katcore.environment.workspace import workspace
from katcore.errors import RecordError, SandboxError
from katcore.gateway.session import Session, Trace, cut_off
from katcore.pool import Item
from katcore.pool import run as run_pool
from katcore.records import Exit, Scaffold, Task, Timing, Trajectory, item_key
from katcore.rollout.attempts import Attempt, Setup, attempts_at
from katcore.rollout.groups import CUT
from katcore.rollout.patch import Changes, diff, read_changes
from katcore.rollout.service import Service, close_shared, running, shared
from katcore.sandbox import GATEWAY, PYTHON, SCAFFOLD, Box, Mount, Spec
from katcore.scaffold import Job

LONGEST_CONTEXT = 1 << 20
"""The context, in tokens, that agents are told where nothing limits it."""
OUTPUT_CHARS = 6000
"""The most characters of one command's output that KAT's own agent is shown."""


@dataclass(frozen=True)
class Ran:
    """What an attempt left in its box: its patch, changed paths that are not in it, how it ended, and its seconds."""

    patch: str
    left_out: list[str]
    exit: Exit
    boot_s: float
    agent_s: float


@dataclass(frozen=True)
class Roller:
    """Rolls out attempts; `service` when the caller owns it, else one of this process's own."""

    setup: Setup
    service: Service | None = None

    def __call__(self, item: Item) -> Iterator[Trajectory]:
        yield from drawn(self.service or shared(self.setup), item.payload)

    def live(self) -> dict[str, float]:
        """Numbers of rollouts under way, and of calls and tokens so far, in this process."""
        service = self.service or running(self.setup)
        if service is None:
            return {}
        metrics = service.gateway.metrics
        return {
            "running": len(service.gateway.sessions()),
            "calls": metrics.calls(),
            "prompt_tokens": metrics.tokens("prompt"),
            "sampled_tokens": metrics.tokens("completion"),
        }

    def said(self) -> list[str]:
        """Lines for people about what an outside endpoint was not given, or was taken to mean, in this process."""
        service = self.service or running(self.setup)
        return [] if service is None or service.external is None else service.external.said()

    def close(self) -> None:
        """Close engine and gateway, unless they are the caller's."""
        if self.service is None:
            close_shared(self.setup)

    def forget(self) -> None:
        """Close nothing, for a process that ends now; remove journals that nobody would find."""
        if self.service is None and (service := running(self.setup)) is not None:
            service.forget()


def rollouts(
    tasks: Iterable[Task], setup: Setup, service: Service | None = None, jobs: int = 1
) -> Iterator[Trajectory]:
    """Trajectories of all tasks' samples, in order.

    A loop keeps one `service` for all its steps: `service.at(setup)` is the same engine and gateway under other
    options (the step's number as `attempt`, its seed), `service.update_weights` changes what the engine samples from.
    """
    used = Service(setup) if service is None else service.at(setup)
    try:
        each = (attempt for task in tasks for attempt in attempts_at(task, setup))
        items = (Item(item_key(Trajectory, attempt.id), attempt) for attempt in each)
        for done in run_pool(Roller(setup, used), items, jobs):
            if done.failed is not None:
                raise done.failed
            yield from done.output
    finally:
        if service is None:
            used.close()


def drawn(service: Service, attempt: Attempt) -> Iterator[Trajectory]:
    """The sample's trajectory, after those of its draws that were stopped far from every reference.

    Those belong to a group of their own, `…:cut`, so that nothing is compared with them.
    """
    for draw in range(service.setup.options.draw.redraws + 1):
        made = roll(service, replace(attempt, draw=draw))
        if made.exit.kind != "stopped" or draw == service.setup.options.draw.redraws:
            yield msgspec.structs.replace(made, id=attempt.id)
            return
        name = f"{attempt.id}-draw{draw}"
        yield msgspec.structs.replace(made, id=name, group_id=f"{made.group_id}{CUT}", group_size=1)


def roll(service: Service, attempt: Attempt) -> Trajectory:
    """The trajectory of one attempt; what goes wrong stands in its exit."""
    failure = SandboxError("")
    trace = Trace([], [], None)
    for _ in range(2):
        try:
            trace, ran = _once(service, attempt)
            return _record(service, attempt, trace, ran)
        except SandboxError as error:
            failure = error
    return _record(service, attempt, trace, Ran("", [], Exit(kind="sandbox", detail=str(failure)), 0.0, 0.0))


def _once(service: Service, attempt: Attempt) -> tuple[Trace, Ran]:
    session = service.open(attempt)
    try:
        spec = _spec(service, attempt.task, session)  # may build the environment and install the agent, once for all
        began = time.monotonic()
        booting = _Boot(service.setup.options.times.boot_timeout)
        box = service.sandbox.create(spec)
        try:
            ran = _run(service, attempt.task, session, box, began, booting)
        finally:
            box.close()
    except BaseException:
        service.gateway.close_session(session)
        _keep_calls(session.journal.path)
        raise
    return service.gateway.close_session(session), ran


class _Boot:
    """The time that a box has until its agent starts, for its creation and the task's own setup."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._ends = seconds, time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left; SandboxError when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise SandboxError(f"the box was not ready after {self._seconds:g} s")
        return left


def _keep_calls(path: Path) -> None:
    """Rename the journal of a rollout whose box failed, so that its calls are kept when it is tried once more."""
    with suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.stem}-failed{path.suffix}"))


def _spec(service: Service, task: Task, session: Session) -> Spec:
    files = service.scaffold.files()
    return box_spec(
        f"rollout-{session.id}",
        task.environment,
        workspace(task.source),
        service.sandbox,
        mounts=tuple(Mount(path, f"{SCAFFOLD}/{name}") for name, path in files.items()),
        env=run_env(task.environment),
        socket=session.socket,
    )


def _run(service: Service, task: Task, session: Session, box: Box, began: float, booting: _Boot) -> Ran:
    repo = workspace(task.source)
    own = clock.variables(box, task.environment)
    for command in task.environment.setup:
        done = box.exec(command, env=own, timeout_s=booting.left())
        if done.timed_out:
            booting.left()
        if done.code != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()[-500:]
            raise RecordError("setup", f"{command[:80]!r} ended with {done.code}: {said}")
    own_files = service.scaffold.ignore
    before = read_changes(box, repo, own_files) if task.environment.setup else Changes()
    booting.left()
    launch = service.scaffold.launch(_job(service, task, session))
    started = time.monotonic()
    result = box.exec(
        launch.argv, env={**launch.env, **own}, stdin=launch.stdin, timeout_s=service.setup.options.times.timeout
    )
    agent_s = time.monotonic() - started
    ended = service.scaffold.exit(result.code, result.stdout, result.stderr)
    if result.timed_out:
        ended = Exit(kind="time", detail=f"{service.setup.options.times.timeout:g} s")
    changes = read_changes(box, repo, own_files).since(before)
    return Ran(diff(repo, changes), changes.left_out, ended, started - began, agent_s)


def _job(service: Service, task: Task, session: Session) -> Job:
    return Job(
        problem_statement=task.problem_statement,
        key=session.key,
        model=service.setup.model_name(),
        python=PYTHON,
        folder=SCAFFOLD,
        socket=GATEWAY,
        workdir=task.environment.workdir,
        max_turns=service.setup.options.caps.max_turns,
        command_timeout_s=service.setup.options.times.command_timeout,
        output_chars=OUTPUT_CHARS,
        context=min(service.caps.context, LONGEST_CONTEXT),
        completion=service.setup.options.caps.max_completion,
    )


def _record(service: Service, attempt: Attempt, trace: Trace, ran: Ran) -> Trajectory:
    options, task = service.setup.options, attempt.task
    name = service.setup.model_name()
    scaffold = options.agent.scaffold
    return Trajectory(
        id=attempt.id,
        task_id=task.instance_id,
        group_id=f"{task.instance_id}:{scaffold}:{name}:{options.number.attempt}",
        group_size=options.number.samples,
        sample_index=attempt.sample,
        attempt=options.number.attempt,
        scaffold=Scaffold(name=scaffold, version=service.scaffold.version),
        model=name,
        tokenizer=service.tokenizer,
        domain=task.domain,
        nodes=trace.nodes,
        calls=trace.calls,
        patch=None if ran.exit.kind == "sandbox" else ran.patch,
        artifacts={"left_out": ran.left_out} if ran.left_out else {},
        exit=cut_off(trace, ran.exit),
        timing=Timing(boot=round(ran.boot_s, 3), agent=round(ran.agent_s, 3)),
    )
