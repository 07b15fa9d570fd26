"""Multi-SWE-bench and Multi-SWE-RL: pull requests of seven languages with the results of three test runs.

In: a row, or a task. Out: the other. The tests that tell are those that do not pass before the fix and do after it:
`f2p_tests`, and also `s2p_tests` (skipped before) and `n2p_tests` (not there before). `p2p_tests` must stay. Each is an
object test -> {run, test, fix}; that, and the logs' summaries, are kept by `origin.py`. Its harness has a parser for
each repository, which no row names: such a task is not graded here. Nor does a row tell the benchmark from the training
set: it is of `multi-swe`, unless the file's name says which.
"""

from __future__ import annotations

from katcore.dataset.rows import EPOCH, text
from katcore.dataset.swe_bench import github
from katcore.records import Benchmark, Environment, Instruction, Json, Labels, Report, Task, TaskSource, Verification

RECIPE = "multi-swe"
NEEDS = ("org", "repo", "number", "base", "fix_patch", "test_patch")
_TELL = ("f2p_tests", "s2p_tests", "n2p_tests")


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    org, name, number = text(row, "org"), text(row, "repo"), row["number"]
    base = row["base"]
    if not isinstance(base, dict):
        raise TypeError("base is not an object")
    commit = text(base, "sha")
    issues = row.get("resolved_issues") or []
    statement = "\n\n".join(f"{issue.get('title') or ''}\n{issue.get('body') or ''}".strip() for issue in issues)
    return Task(
        instance_id=text(row, "instance_id", f"{org}__{name}-{number}"),
        repo=f"{org}/{name}",
        base_commit=commit,
        created_at=EPOCH,
        benchmark=Benchmark(name="multi-swe"),
        labels=Labels(language=text(row, "lang", "")),
        problem_statement=statement or f"{text(row, 'title', '')}\n{text(row, 'body', '')}".strip(),
        instruction=Instruction(kind="human"),
        source=TaskSource(kind="git", url=github(f"{org}/{name}"), ref=commit),
        environment=Environment(
            recipe=RECIPE,
            workdir=f"/home/{name}",
            image=f"mswebench/{org}_m_{name}:pr-{number}".lower(),
            test_command="bash /home/fix-run.sh",
            report=Report(kind="log", path=RECIPE),
            platform="linux-x86_64",
        ),
        verification=Verification(
            FAIL_TO_PASS=[test for field in _TELL for test in row.get(field) or {}],
            PASS_TO_PASS=list(row.get("p2p_tests") or {}),
        ),
        patch=text(row, "fix_patch"),
        test_patch=text(row, "test_patch"),
    )


def from_task(task: Task) -> Json:
    """A row; of our own tasks the number is that at the end of the id, 0 if there is none."""
    org, _, name = task.repo.rpartition("/")
    number = task.instance_id.rpartition("-")[2]
    title, _, body = task.problem_statement.partition("\n")
    before = {"run": "NONE", "test": "FAIL", "fix": "PASS"}
    kept = {"run": "PASS", "test": "PASS", "fix": "PASS"}
    f2p = dict.fromkeys(task.verification.FAIL_TO_PASS, before)
    return {
        "org": org,
        "repo": name,
        "number": int(number) if number.isdigit() else 0,
        "state": "closed",
        "title": title,
        "body": body,
        "base": {"label": "", "ref": "", "sha": task.base_commit},
        "resolved_issues": [],
        "fix_patch": task.patch,
        "test_patch": task.test_patch,
        "fixed_tests": f2p,
        "p2p_tests": dict.fromkeys(task.verification.PASS_TO_PASS, kept),
        "f2p_tests": f2p,
        "s2p_tests": {},
        "n2p_tests": {},
        "instance_id": task.instance_id,
    }
