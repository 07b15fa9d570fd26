"""What a run may be believed, in real boxes: code under test that cheats, crashes or hangs proves nothing."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.environment.built import environment_mounts, this_base, this_platform
from katcore.environment.pip import resolve
from katcore.environment.workspace import workspace
from katcore.errors import RecordError
from katcore.records import Environment, TaskSource, TestFile
from katcore.sandbox import Box, Spec, sandbox
from katcore.testrun.grade import judge
from katcore.testrun.run import TestRun, prepare, restore, run_tests

pytestmark = pytest.mark.slow

COMMAND = (
    "/opt/env/bin/python -m pytest -q -p kat_nodeid -p no:cacheprovider --continue-on-collection-errors "
    '-c /dev/null --rootdir /testbed -o junit_family=xunit1 --junitxml="$KAT_REPORT/report.xml"'
)


def inline(**files: str) -> TaskSource:
    """A source that is its own archive."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return TaskSource(kind="inline", url="data:application/x-tar;base64," + base64.b64encode(data.getvalue()).decode())


@pytest.fixture(scope="session")
def environment(cache: Path) -> Environment:
    lock = sorted(
        f"{p['metadata']['name']}=={p['metadata']['version']} "
        f"--hash=sha256:{p['download_info']['archive_info']['hashes']['sha256']}"
        for p in resolve(["pytest"])
    )
    return Environment(
        base=this_base(), platform=this_platform(), lock=lock, test_command=COMMAND, env={"PYTHONPATH": "/testbed"}
    )


@pytest.fixture
def box(environment: Environment) -> Iterator[Box]:
    source = inline(**{"code.py": "x = 1\n", "tests/test_a.py": "def test_a(): pass\n", ".git/config": "bad"})
    made = sandbox().create(
        Spec("run", repo=workspace(source), mounts=environment_mounts(environment, sandbox()))
    )  # fmt: skip
    yield made
    made.close()


def run(box: Box, environment: Environment, test: str, **others: str) -> TestRun:
    files = {"test_it.py": TestFile(text=test), **{k.replace("__", "."): TestFile(text=v) for k, v in others.items()}}
    prepare(box, environment, test_files=files)
    return run_tests(box, environment, timeout_s=30)


def test_an_honest_run(box: Box, environment: Environment) -> None:
    seen = run(box, environment, "def test_ok(): pass\ndef test_no(): assert 0\n")
    assert seen.outcomes == {
        "test_it.py::test_ok": "PASSED", "test_it.py::test_no": "FAILED", "tests/test_a.py::test_a": "PASSED",
    }  # fmt: skip
    assert (seen.problem, seen.exit_code, seen.counts()) == ("", 1, {"FAILED": 1, "PASSED": 2})


def test_only_the_files_of_the_tests_that_are_asked_for(box: Box, environment: Environment) -> None:
    prepare(box, environment, test_files={"test a.py": TestFile(text="def test_x(): pass\ndef test_y(): pass\n")})
    assert list(run_tests(box, environment, 30, tests=["test a.py::test_x"]).outcomes) == [
        "test a.py::test_x",
        "test a.py::test_y",
    ]


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        ("import os\ndef test_it(): os._exit(0)\n", "no_report"),
        ("import os\nos._exit(0)\n", "no_report"),
        ("print('test_it.py::test_it PASSED')\nimport os; os._exit(0)\n", "no_report"),
        ("import time\ndef test_it(): time.sleep(60)\n", "timeout"),
        ("", "no_tests"),
        ("def test_it(): assert 0\n", "inconsistent"),
    ],
    ids=["exit-in-test", "exit-in-import", "printed", "hangs", "none", "status-rewritten"],
)
def test_runs_that_prove_nothing(box: Box, environment: Environment, test: str, problem: str) -> None:
    if problem == "timeout":
        prepare(box, environment, test_files={"test_it.py": TestFile(text=test)})
        seen = run_tests(box, environment, timeout_s=5)
    elif problem == "inconsistent":
        hook = "def pytest_sessionfinish(session): session.exitstatus = 0\n"
        seen = run(box, environment, test, conftest__py=hook)
    elif problem == "no_tests":
        prepare(box, environment, test_files={"test_it.py": TestFile(text=test), "tests/test_a.py": TestFile()})
        seen = run_tests(box, environment, 30)
    else:
        seen = run(box, environment, test)
    assert (seen.problem.split(":")[0], seen.outcomes) == (problem, {})


def test_leaving_early_leaves_tests_out(box: Box, environment: Environment) -> None:
    test = "import pytest\ndef test_a(): pass\ndef test_b(): pytest.exit('done', returncode=0)\ndef test_c(): pass\n"
    seen = run(box, environment, test)
    assert not judge(seen.outcomes, ["test_it.py::test_a"], ["test_it.py::test_c"]).passed


def test_a_report_written_beforehand_is_not_found(box: Box, environment: Environment) -> None:
    box.exec("mkdir -p /tmp/kat-report-0 && echo '<testsuites><testcase name=\"a\"/></testsuites>' > report.xml")
    seen = run(box, environment, "import os\nos._exit(0)\n")
    assert not seen.report_found


def test_restoring_does_not_follow_what_an_attempt_made_of_folders(box: Box) -> None:
    box.exec("rm -rf tests && mkdir /tmp/away && ln -s /tmp/away tests && mkdir conftest.py && touch conftest.py/x")
    restore(
        box,
        {
            "tests/test_a.py": TestFile(text="a = 1\n", mode="100755"),
            "tests/link.py": TestFile(text="test_a.py", mode="120000"),
            "conftest.py": TestFile(),
            "not there/ü.bin": TestFile(base64="AP8="),
            "code.py": TestFile(),
        },
    )
    assert box.exec("ls /tmp/away").stdout == b""
    assert box.exec("stat -c %a tests/test_a.py; readlink tests/link.py; ls").stdout.decode().split("\n") == [
        "755", "test_a.py", "not there", "tests", "",
    ]  # fmt: skip
    assert box.get("not there/ü.bin") == b"\x00\xff"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", ".git/config", ""])
def test_test_files_outside_the_repository_are_refused(box: Box, name: str) -> None:
    with pytest.raises(RecordError):
        restore(box, {name: TestFile(text="x")})


def test_a_workspace_has_one_commit_and_nothing_else_of_git(box: Box) -> None:
    git = "git -c safe.directory=*"
    said = box.exec(
        f"{git} rev-list --all --count; {git} remote; {git} tag; {git} reflog; {git} status --porcelain; "
        f"{git} fsck --unreachable; cat .git/config"
    ).stdout.decode()
    assert said.splitlines()[0] == "1" and "bad" not in said and "unreachable" not in said
    assert [line for line in said.splitlines()[1:] if not line.startswith(("[core]", "\t"))] == []


def test_the_environment_is_read_only_in_a_box(box: Box) -> None:
    assert box.exec("touch /opt/env/x").code != 0


def test_a_setup_that_fails_is_told_apart(box: Box, environment: Environment) -> None:
    broken = Environment(**{**environment_fields(environment), "setup": ["exit 3"]})
    with pytest.raises(RecordError, match="ended with 3") as caught:
        prepare(box, broken)
    assert caught.value.stage == "setup"


def environment_fields(environment: Environment) -> dict[str, object]:
    return {name: getattr(environment, name) for name in environment.__struct_fields__}
