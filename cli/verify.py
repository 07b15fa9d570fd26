"""kat-verify: grade trajectories, validate tasks, and report on graded ones."""

from __future__ import annotations

from katcli import verify_report, verify_validate
from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.verify.options import VerifyOptions

kat = Program("kat-verify", "Grade what an attempt changed, in a fresh sandbox.")


@kat.command(output="unordered")
def verify(run: Run, options: VerifyOptions, files: Files = None) -> None:
    """Grade trajectories in the way their tasks ask for: tests, rules, judge, references, web, or dual.

    Each trajectory's patch is applied to the task's base commit in a fresh sandbox that the agent never touched,
    without a network. Test files and test configuration are the task's own; what the patch says of them is dropped.
    By tests the reward is 1 when every FAIL_TO_PASS and every PASS_TO_PASS test passes, else 0. Rules and judges give
    rewards from 0 to 1; to a judge the work is data, and votes that followed it do not count. Where the infrastructure
    fails the verdict is masked: it says nothing about the attempt. Commands that look for the answer are flagged.

    A trajectory is written when it is graded, behind its task and not behind others that take longer; --ordered keeps
    the input's order.
    """
    from katcore import records
    from katcore.verify.attempts import attempts, task_table
    from katcore.verify.verifier import Verifier

    verifier = Verifier.of(options)
    known = task_table(run.read(options.tasks, records.Task)) if options.tasks else {}
    stream = run.read(files, records.Task, records.Trajectory)
    run.stage(attempts(stream, known), verifier)


verify_report.register(kat)
verify_validate.register(kat)
main = kat.main
