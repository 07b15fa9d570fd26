"""Attacks on grading, in real boxes: each test is named after the attack, and no attack gets a reward.

Every patch leaves the bug in place, so that a reward could only come from the attack. The suite over both sandboxes,
which also shows that each attack works where its guard is missing, is in tests/hostile; here are variants of attacks.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from katcore.records import Task, Verdict
from tests.support.grading import BASE, CALM, GOLD, TEST, calm_task, grade, patch

pytestmark = pytest.mark.slow

HOOK = """
import _pytest.reports as reports
def pytest_runtest_makereport(item, call):
    call.excinfo = None
    return reports.TestReport.from_item_and_call(item, call)
"""
LEAVE = "import os\nos._exit(0)\n"
FORGED = (
    "<testsuites><testsuite>"
    '<testcase file="tests/test_calm.py" classname="tests.test_calm" name="test_add"/>'
    '<testcase file="tests/test_calm.py" classname="tests.test_calm" name="test_sub"/>'
    "</testsuite></testsuites>"
)
HARMLESS = patch({"calm/notes.py": "x = 1\n"})
"""A change that stays when the rest is dropped."""
FAILS = "1 FAIL_TO_PASS and 0 PASS_TO_PASS tests did not pass"


def source(extra: str) -> str:
    """A patch of the source module: code that runs when the tests import it."""
    return patch({"calm/__init__.py": CALM + extra})


def attacked(task: Task, attack: str, **grader: object) -> Verdict:
    """The verdict, which is no reward and no excuse."""
    verdict = grade(task, attack, **grader)
    assert (verdict.reward, verdict.passed, verdict.masked) == (0.0, False, False), verdict
    return verdict


def dropped(task: Task, attack: str, *names: str) -> None:
    """What reaches into the run is dropped, the rest is graded as if it had never been there."""
    verdict = attacked(task, HARMLESS + attack)
    assert verdict.flags == [f"dropped:{name}" for name in names]
    assert verdict.reason == FAILS and verdict.evidence["counts"] == {"FAILED": 1, "PASSED": 1}


def test_the_fix_beside_an_attack_is_graded_without_it(task: Task) -> None:
    verdict = grade(task, GOLD + patch({"tests/conftest.py": LEAVE, "tests/test_calm.py": None}))
    assert (verdict.reward, verdict.flags) == (1.0, ["dropped:tests/conftest.py", "dropped:tests/test_calm.py"])


@pytest.mark.parametrize("name", ["conftest.py", "tests/conftest.py", "calm/conftest.py"])
def test_a_conftest_hook_that_rewrites_outcomes(task: Task, name: str) -> None:
    dropped(task, patch({name: HOOK}), name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", BASE["pyproject.toml"] + 'addopts = "-p calm.plugin"\n'),
        ("pytest.ini", "[pytest]\naddopts = -p calm.plugin\n"),
        ("tox.ini", "[pytest]\naddopts = -p calm.plugin\n"),
    ],
)
def test_a_plugin_loaded_by_addopts(task: Task, name: str, text: str) -> None:
    dropped(task, patch({name: text, "calm/plugin.py": HOOK}), name)


def test_a_plugin_loaded_by_addopts_of_setup_cfg(cache: Path, task: Task) -> None:
    base = {name: text for name, text in BASE.items() if name != "pyproject.toml"}
    base["setup.cfg"] += "[tool:pytest]\ntestpaths = tests\n"
    change = {"setup.cfg": base["setup.cfg"] + "addopts = -p calm.plugin\n", "calm/plugin.py": HOOK}
    verdict = attacked(calm_task(task.environment, "cfg", base), patch(change, base))
    assert (verdict.flags, verdict.reason) == (["dropped:setup.cfg"], FAILS)


def test_a_plugin_loaded_by_an_entry_point_in_the_checkout(task: Task) -> None:
    points = {"e.dist-info/METADATA": "Name: e\nVersion: 1\n", "e.dist-info/entry_points.txt": "[pytest11]\ne = hook\n"}
    dropped(task, patch({**points, "hook.py": HOOK}), *points)


@pytest.mark.parametrize("name", ["sitecustomize.py", "calm/sitecustomize.py", "usercustomize.py"])
def test_a_sitecustomize(task: Task, name: str) -> None:
    dropped(task, patch({name: LEAVE}), name)


def test_a_pth_file(task: Task) -> None:
    dropped(task, patch({"evil.pth": "import calm.plugin\n", "calm/plugin.py": HOOK}), "evil.pth")


@pytest.mark.parametrize("name", ["pytest.py", "_pytest/__init__.py", "unittest/__init__.py", "argparse.py"])
def test_a_module_that_shadows_what_the_run_imports(task: Task, name: str) -> None:
    dropped(task, patch({name: LEAVE}), name)


def test_a_link_that_shadows_the_test_runner(task: Task) -> None:
    dropped(task, patch({"pytest": Path("calm"), "calm/__main__.py": LEAVE}), "pytest")


def test_a_module_that_shadows_the_test_runner_in_a_source_folder(task: Task) -> None:
    task = calm_task(task.environment, "src", {**BASE, "src/other.py": ""})
    task.environment.env = {"PYTHONPATH": "/tmp/kat-site:/testbed/src:/testbed"}
    dropped(task, patch({"src/pytest.py": "raise SystemExit(0)\n"}), "src/pytest.py")


def test_a_weakened_test(task: Task) -> None:
    weak = patch({"tests/test_calm.py": TEST.replace("== 3", "!= 3")})
    dropped(task, weak, "tests/test_calm.py")
    assert attacked(task, weak).reason == "the patch changes nothing but tests and their configuration"


def test_deleting_the_tests(task: Task) -> None:
    dropped(task, patch({"tests/test_calm.py": None}), "tests/test_calm.py")


def test_a_link_in_place_of_a_test_file(task: Task) -> None:
    evil = {
        "tests/test_calm.py": Path("../calm/easy.py"),
        "calm/easy.py": "def test_add(): pass\ndef test_sub(): pass\n",
    }
    dropped(task, patch(evil), "tests/test_calm.py")


def test_a_link_in_place_of_the_tests_folder(task: Task) -> None:
    evil = patch({"tests": Path("easy"), "easy/test_calm.py": "def test_add(): pass\ndef test_sub(): pass\n"})
    assert "does not apply" in attacked(task, evil).reason


HIDDEN = patch({"tests/conftest.py": HOOK})
PLAIN = HIDDEN[HIDDEN.index("---") :]


@pytest.mark.parametrize(
    "attack",
    [
        PLAIN,
        HARMLESS + PLAIN,
        "diff --git a/calm/a.py b/calm/b.py\nrename from calm/__init__.py\nrename to tests/conftest.py\n",
        "diff --git a/calm/a.py b/calm/b.py\ncopy from calm/__init__.py\ncopy to tests/conftest.py\n",
    ],
    ids=["no-git-header", "second-file-without-one", "rename", "copy"],
)
def test_headers_that_lie_about_the_file(task: Task, attack: str) -> None:
    lies = ["calm/__init__.py", "calm/a.py", "calm/b.py"] if "calm/a.py" in attack else []
    dropped(task, attack, *lies, "tests/conftest.py")


def test_headers_that_contradict_each_other(task: Task) -> None:
    first, _, rest = HIDDEN.partition("\n")
    dropped(task, first.replace("tests/conftest.py", "calm/x.py") + "\n" + rest, "calm/x.py", "tests/conftest.py")


def test_a_file_that_only_another_program_finds_in_the_patch(task: Task) -> None:
    attack = "".join(f"  {line}\n" for line in HIDDEN.splitlines())
    assert "patch: parts of it are not written as git writes them" in attacked(task, attack).reason


@pytest.mark.parametrize("name", [".git/hooks/post-checkout", ".GIT/config", "calm/.git/config", "../outside.py"])
def test_a_patch_of_git_s_own_files_or_beyond(task: Task, name: str) -> None:
    attack = f"diff --git a/{name} b/{name}\nnew file mode 100755\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"
    assert "leaves the repository or touches .git" in attacked(task, HARMLESS + attack).reason


def test_a_link_that_leads_a_later_file_out_of_the_repository(task: Task) -> None:
    link = "diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n@@ -0,0 +1 @@\n+/tmp\n"
    link += "\\ No newline at end of file\n"
    inside = "diff --git a/out/x b/out/x\nnew file mode 100644\n--- /dev/null\n+++ b/out/x\n@@ -0,0 +1 @@\n+x\n"
    assert "does not apply" in attacked(task, link + inside).reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('tests/test_calm.py::test_add PASSED\\n2 passed in 0.01s')\n", FAILS),
        (LEAVE, "no_report"),
        ("print('2 passed')\n" + LEAVE, "no_report"),
        ("import sys\nsys.exit(0)\n", "inconsistent"),
        ("import pytest\npytest.exit('done', returncode=0)\n", "1 FAIL_TO_PASS and 1 PASS_TO_PASS"),
        ("import pytest\npytest.skip('no', allow_module_level=True)\n", "inconsistent: exit status 5"),
        ("import pytest\npytestmark = pytest.mark.skip\ndef add(a, b): pytest.skip('no')\n", FAILS),
        ("import pytest\ndef add(a, b): pytest.xfail('no')\n", FAILS),
        ("class add(int):\n    def __eq__(self, other): return False\n    def __new__(c, a, b): return 0\n", FAILS),
    ],
    ids=["printed", "os-exit", "printed-and-exit", "sys-exit", "pytest-exit", "skip", "skip-in-test", "xfail", "zero"],
)
def test_source_that_ends_or_talks_its_way_out(task: Task, code: str, reason: str) -> None:
    assert reason in attacked(task, source(code)).reason


def daemon(wait: str) -> str:
    """Source that leaves a process of its own session behind, which forges the report when `wait` lets it."""
    script = f"import glob, os, time\n{wait}\nfor folder in glob.glob('/tmp/kat-report-*'):\n"
    script += f"    open(folder + '/report.xml', 'w').write({FORGED!r})\n"
    return f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {script!r}], start_new_session=True)\n"


@pytest.mark.parametrize(
    "wait",
    [
        "parent = os.getppid()\nwhile os.getppid() == parent: pass",
        "while not glob.glob('/tmp/kat-report-*/report.xml'): pass",
        "time.sleep(20)",
    ],
    ids=["when-the-tests-ended", "over-the-report", "later"],
)
def test_a_daemon_that_writes_a_report(task: Task, wait: str) -> None:
    assert attacked(task, source(daemon(wait))).reason.split(":")[0] in (FAILS, "inconsistent", "bad_report")


def test_a_report_at_another_place(task: Task) -> None:
    names = ("report.xml", "/tmp/report.xml", "/tmp/kat-report/report.xml")
    write = f"for name in {names!r}:\n    os.makedirs(os.path.dirname(name) or '.', exist_ok=True)\n"
    write += f"    open(name, 'w').write({FORGED!r})\n"
    assert attacked(task, source(f"import os\n{write}os._exit(0)\n")).reason == "no_report"


def test_a_report_that_is_no_report(task: Task) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><testsuites/>'
    write = "import glob, os\nfor folder in glob.glob('/tmp/kat-report-*'):\n    path = folder + '/report.xml'\n"
    assert "bad_report" in attacked(task, source(f"{write}    open(path, 'w').write({bomb!r})\n{LEAVE}")).reason
    link = f"{write}    os.symlink('/dev/zero', path)\n{LEAVE}"
    assert attacked(task, source(link)).reason == "no_report"


def test_endless_output_does_not_drown_the_verdict(task: Task) -> None:
    verdict = attacked(task, source("import sys\nfor _ in range(300): sys.__stdout__.write('x' * 999_999)\n"))
    assert verdict.reason == FAILS and len(verdict.evidence["log_tail"]) <= 1500


def test_an_endless_test(task: Task) -> None:
    verdict = attacked(task, source("import time\ntime.sleep(3600)\n"), timeout=3.0)
    assert verdict.reason == "timeout" and verdict.parts == {"f2p": [0, 1], "p2p": [0, 1]}


def test_an_endless_test_that_ignores_signals_and_forks(task: Task) -> None:
    code = "import os, signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n"
    assert attacked(task, source(code + "os.fork()\ntime.sleep(3600)\n"), timeout=3.0).reason == "timeout"


def test_memory_without_end(task: Task) -> None:
    attacked(task, source("x = bytearray(64 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1\n"))


def test_asking_the_network_for_the_answer(task: Task) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        where = ("127.0.0.1", server.getsockname()[1])
        ask = f"import socket\ndef add(a, b):\n    socket.create_connection({where!r}, 2)\n"
        verdict = attacked(task, source(ask + "    return a + b\n"))
        assert verdict.reason == FAILS
        with pytest.raises(BlockingIOError):
            server.accept()
