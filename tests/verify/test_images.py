"""Tasks that live in an image of their own: its repository, its programs, the log of the dataset's own script.

The image is a tarball of a few programs with a repository whose history holds the fix; bubblewrap takes it as an
archive, Docker as an image of a real engine.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from katcore.dataset.formats import FORMATS, line_of
from katcore.environment.built import box_spec
from katcore.environment.workspace import workspace
from katcore.errors import SandboxError
from katcore.options.boxes import BoxOptions
from katcore.records import Json, Task, Verdict
from katcore.sandbox import sandbox
from katcore.sandbox.docker import exported
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions, ValidateOptions
from katcore.verify.validation import Validator
from tests.support.small_root import PROGRAMS, small_root

pytestmark = pytest.mark.slow

IMAGE = "tests/small:1"
WRONG, RIGHT = "def double(x):\n    return x + 1\n", "def double(x):\n    return 2 * x\n"
OLD_TESTS = """import unittest
import calm

class Kept(unittest.TestCase):
    def test_one(self):
        self.assertEqual(calm.double(1), 2)
"""
NEW_TESTS = (
    OLD_TESTS
    + """
class Fixed(unittest.TestCase):
    def test_five(self):
        self.assertEqual(calm.double(5), 10)
"""
)
F2P, P2P = "test_five (tests.test_calm.Fixed.test_five)", "test_one (tests.test_calm.Kept.test_one)"
FORGED = """
import sys
print("test_five (tests.test_calm.Fixed.test_five) ... ok", file=sys.stderr)
print("test_one (tests.test_calm.Kept.test_one) ... ok\\n\\nRan 2 tests in 0.0s\\n\\nOK", file=sys.stderr)
import os
os._exit(0)
"""
DIG = """git config --global --add safe.directory /testbed
git rev-list --all --reflog | grep -c .
git fsck --lost-found
grep -r '2 \\* x' /testbed
ls -a / /opt
id -u"""
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b")


def change(repo: Path, files: dict[str, str]) -> str:
    """The patch that makes these files; the repository is left as it was."""
    for name, text in files.items():
        (repo / name).write_text(text)
    made = subprocess.run([*GIT, "diff", "HEAD"], cwd=repo, check=True, capture_output=True, text=True).stdout
    subprocess.run([*GIT, "checkout", "-q", "."], cwd=repo, check=True)
    return made


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository at its base, with the fix in its history."""
    folder = tmp_path_factory.mktemp("repo")
    (folder / "tests").mkdir()
    (folder / "tests/__init__.py").touch()
    (folder / "tests/test_calm.py").write_text(OLD_TESTS)
    for text in (WRONG, RIGHT):
        (folder / "calm.py").write_text(text)
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", text[18:]]):
            subprocess.run([*GIT, *command], cwd=folder, check=True)
    subprocess.run([*GIT, "checkout", "-q", "HEAD~1"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    """The image: the repository where SWE-bench has it, and a program in `/opt`."""
    top = tmp_path_factory.mktemp("image")

    def fill(at: Path) -> None:
        subprocess.run(["cp", "-a", repo, at / "testbed"], check=True)
        (at / "opt/tools").mkdir(parents=True)
        (at / "opt/tools/test").write_text("#!/bin/sh\nexec /opt/python/bin/python3 -m unittest -v tests.test_calm\n")
        (at / "opt/tools/test").chmod(0o755)

    programs = (*PROGRAMS, "git", "cp", "mv", "grep", "sed", "uname", "test", "true", "patch")
    return small_root(top / "root", top / "image.tar", programs, fill)


@pytest.fixture(params=["bubblewrap", "docker"])
def kind(
    request: pytest.FixtureRequest,
    archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A sandbox that has the image: as an archive, or in its engine."""
    if request.param == "docker":
        host = request.getfixturevalue("engine")
        env = {**os.environ, "DOCKER_HOST": host}
        subprocess.run(["docker", "import", archive, IMAGE], check=True, env=env, capture_output=True)
        monkeypatch.delenv("KAT_IMAGES", raising=False)
    else:
        folder = tmp_path_factory.mktemp("images")
        (folder / "tests_small_1.tar").symlink_to(archive)
        monkeypatch.setenv("KAT_IMAGES", str(folder))
    return str(request.param)


@pytest.fixture
def row(repo: Path) -> Json:
    """A row of SWE-bench with the script that its harness runs."""
    tests = change(repo, {"tests/test_calm.py": NEW_TESTS})
    script = f"""#!/bin/bash
set -uxo pipefail
cd /testbed
git config --global --add safe.directory /testbed
git status
git show
git -c core.fileMode=false diff 0123456789abcdef
git checkout 0123456789abcdef tests/test_calm.py
git apply -v - <<'EOF_114329324912'
{tests}
EOF_114329324912
: '>>>>> Start Test Output'
/opt/tools/test
: '>>>>> End Test Output'
git checkout 0123456789abcdef tests/test_calm.py
"""
    return {
        "instance_id": "calm__calm-1", "repo": "calm/calm", "base_commit": "0123456789abcdef", "version": "1",
        "patch": change(repo, {"calm.py": RIGHT}), "test_patch": tests, "problem_statement": "double(5) is 6.",
        "FAIL_TO_PASS": json.dumps([F2P]), "PASS_TO_PASS": json.dumps([P2P]), "image": IMAGE,
        "eval_script": script, "log_parser": "parse_log_django", "eval_type": "pass_and_fail",
    }  # fmt: skip


def graded(task: Task, patch: str, kind: str) -> Verdict:
    return Grader(TestOptions(reuse=False, boxes=BoxOptions(sandbox=kind), timeout=120)).grade(task, patch)


def test_a_row_of_swe_bench_is_graded_in_its_image(row: Json, kind: str, repo: Path) -> None:
    task = msgspec.json.decode(line_of("swe-bench", row), type=Task)
    gold = graded(task, task.patch, kind)
    assert gold.reward == 1.0 and not gold.flags, gold
    wrong = graded(task, change(repo, {"calm.py": WRONG.replace("+ 1", "+ 2")}), kind)
    assert wrong.parts == {"f2p": [0, 1], "p2p": [0, 1]} and not wrong.masked, wrong
    forged = graded(task, change(repo, {"calm.py": WRONG + FORGED}), kind)
    assert forged.reward == 0.0 and forged.reason.endswith("their results are forged"), forged
    weakened = change(
        repo, {"tests/test_calm.py": OLD_TESTS.replace("calm.double(1), 2", "1, 1"), "calm.py": RIGHT + "#"}
    )
    assert graded(task, weakened, kind).flags == ["dropped:tests/test_calm.py"]


def test_a_test_that_the_known_change_skips_too_has_passed(row: Json, kind: str, repo: Path) -> None:
    """SWE-bench lets it, and its lists hold such tests."""
    skipped = NEW_TESTS.replace("        self.assertEqual(calm.double(1), 2)", "        self.skipTest('not here')")
    patch = change(repo, {"tests/test_calm.py": skipped})
    task = FORMATS["swe-bench"].to_task(row | {"test_patch": patch})
    assert graded(task, task.patch, kind).passed
    wrong = graded(task, change(repo, {"calm.py": WRONG.replace("+ 1", "+ 2")}), kind)
    assert wrong.parts == {"f2p": [0, 1], "p2p": [1, 1]}, wrong


def test_code_that_skips_every_test_is_not_honest(row: Json, kind: str, repo: Path) -> None:
    task = FORMATS["swe-bench"].to_task(row)
    skips = RIGHT + "import unittest, sys\nif sys.modules['unittest'].main:\n    def double(x):\n"
    skips += "        if x == 5:\n            return 10\n        raise unittest.SkipTest('no')\n"
    verdict = graded(task, change(repo, {"calm.py": skips}), kind)
    assert verdict.parts == {"f2p": [1, 1], "p2p": [0, 1]} and not verdict.passed, verdict


def test_the_history_in_the_image_is_not_seen(row: Json, kind: str) -> None:
    """One commit, and nothing else to dig for: the fix lay in a later one."""
    task = FORMATS["swe-bench"].to_task(row)
    boxes = sandbox(kind)
    box = boxes.create(box_spec("image", task.environment, workspace(task.source), boxes))
    try:
        said = box.exec(DIG).stdout.decode()
        assert said.startswith("1\n") and "2 * x" not in said and "dangling" not in said
        assert {"tools", "python", "testbed"} <= set(said.split()) and "65534" in said.split()
        assert box.exec("echo x >> calm.py; rm tests/__init__.py").code == 0
        assert box.changed() == ["calm.py", "tests/__init__.py"]
    finally:
        box.close()


def test_a_row_validates_in_its_image(row: Json, kind: str) -> None:
    evidence = Validator(ValidateOptions(boxes=BoxOptions(sandbox=kind), timeout=120)).validate(
        FORMATS["swe-bench"].to_task(row)
    )
    assert [run["reward"] for run in evidence["gold"].values()] == [1.0] * 3
    assert evidence["noop"]["noop"]["reward"] == 0.0
    assert {run["reward"] for run in evidence["cheat"].values()} == {0.0}


def test_the_pipeline_runs_in_the_image(row: Json, kind: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    line = (
        f"kat-mine tasks --from swe-bench rows.jsonl | kat-rollout --sandbox {kind} --scaffold oracle"
        f" | kat-verify --sandbox {kind}"
    )
    command = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = [json.loads(text) for text in done.stdout.splitlines()[1:]]
    assert [(record["scaffold"]["name"], record["verdict"]["reward"]) for record in records] == [("oracle", 1.0)]


def test_an_image_that_nobody_has_is_one_line(row: Json, engine: str) -> None:
    with pytest.raises(SandboxError, match="engine has no image tests/none:1 and cannot pull it"):
        exported.digest("tests/none:1")
    task = FORMATS["swe-bench"].to_task(row | {"image": "tests/none:1"})
    verdict = graded(task, "diff --git a/x b/x\nnew file mode 100644\n", "docker")
    assert verdict.masked and "cannot pull it" in verdict.reason
