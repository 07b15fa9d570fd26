"""kat-build-env: turn mined changes into tasks with a working environment and tests that tell."""

from __future__ import annotations

from katcli import build_env_export
from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.build_env.options import BuildOptions

kat = Program("kat-build-env", "Turn changes into tasks: build the environment, check the tests.")


@kat.command()
def build_env(run: Run, build: BuildOptions, files: Files = None) -> None:
    """Build and check tasks from changes.

    Takes changes of Python projects that touch source and tests. A recipe is worked out from the project's own files;
    its requirements are resolved as of the change's date where the package index tells upload times, and pinned with
    hashes. The environment is built once and shared by all tasks with the same pins. The tests of the finished change
    then run without a network, in fresh sandboxes, on the code after it and on the code before it: once each, which
    decides whether a test turns from failing to passing, and three times each (--runs) where one does.

    FAIL_TO_PASS are the tests that fail, or are not there, before and pass in every run after; PASS_TO_PASS those that
    pass in every run. Tests whose runs differ are flaky and belong to no list. A change without FAIL_TO_PASS, or that
    breaks a test, is turned away: --rejects keeps it with the stage, the reason and the number of runs.

    The instruction is what people wrote about the change, without what tools add and without sentences that tell the
    implementation. Where that tells no need the change is turned away, too (statement_too_thin).

    With --clock a task's tests, its gradings and its agents' sandboxes see the change's date or a given time (such as
    2021-03-04T05:06:07Z) when they start, and the clock runs on at normal speed; durations and time-outs are real. Old
    projects whose tests fail today for a certificate that has expired, or for a year that is over, need it. Programs
    that read the clock without a C library (static ones, most of those in Go) see the machine's time.

    Tasks in the input pass through unchanged.
    """
    from katcore.build_env.bench import tally
    from katcore.build_env.build import Builder, items
    from katcore.records import Change, Task

    run.stage(items(run.read(files, Change, Task)), Builder(build), tally=tally)


build_env_export.register(kat)

main = kat.main
