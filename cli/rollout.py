"""kat-rollout: let agents work on tasks in sandboxes."""

from __future__ import annotations

from katcli import rollout_convert, rollout_sandboxes, rollout_scaffolds, rollout_trim, rollout_view
from katcli.contract import Program
from katcli.options import Files
from katcli.rollout_gateway import gateway
from katcli.run import Run
from katcore.rollout.options import RolloutOptions

kat = Program("kat-rollout", "Let agents work on tasks in sandboxes, and keep every model call.")


@kat.command(output="unordered")
def rollout(run: Run, options: RolloutOptions, files: Files = None) -> None:
    """Let an agent work on each task, and write what it did.

    Every attempt runs in a sandbox of its own that holds the repository at its base commit and the environment, and
    nothing of the task's tests or solution. Its only way out is the gateway, which gives the agent's prompts to the
    engine as exact tokens and keeps every call as a tree. Each task passes through, ahead of its trajectories. A
    sandbox that fails is tried twice; the trajectory then says so. A step that leaves every verified reference of the
    task can be replaced by the nearest one's, as context and not as a target, and an attempt that stays away can end.

    A trajectory is written when it is done, behind its task and not behind others that take longer; --ordered writes
    them in the order of tasks and samples.

    With -o FILE, calls under way and trajectories that are not written yet lie in FILE.calls, so that after kill -9
    --resume takes what had ended, makes anew what had not, and says how much. Answered calls of the latter stay there;
    kat-rollout gateway --recover --journals FILE.calls writes them as trajectories.

    --probe and --resample grade a task's samples as they end, and give the whole group its verdicts.
    """
    from katcore.loop.graded import grader_of, stage_of
    from katcore.records import Task
    from katcore.rollout.attempts import Setup
    from katcore.rollout.kept import KeptAttempts
    from katcore.rollout.roller import Roller
    from katcore.rollout.totals import Tally

    calls = run.beside(".calls")
    journals = str(calls) if calls and not run.ray else ""
    setup = Setup(options, seed=run.seed, table=run.scaffold_table(), journals=journals)
    setup.check()
    roller = Roller(setup)
    try:
        stage = stage_of(setup, roller, grader_of(options), run.jobs)
        kept = KeptAttempts(calls) if calls else None
        run.stage(stage.items(run.read(files, Task)), stage.process, kept, Tally(options.prices), roller.live)
    except BaseException:
        roller.forget()  # the process ends, and rollouts under way with it: nothing is waited for
        raise
    for line in roller.said():
        run.warn(line)
    roller.close()
    if silent := run.counts.get("never_called"):
        run.warn(f"{silent:g} attempts made no model call: their exits say why, kat-verify masks them")


rollout_scaffolds.register(kat)
rollout_sandboxes.register(kat)
kat.command("gateway")(gateway)
rollout_trim.register(kat)
rollout_convert.register(kat)
rollout_view.register(kat)
main = kat.main
