"""Whole builds of small real projects, in real sandboxes, with a real environment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from katcore.build_env.build import Builder, instance_id
from katcore.build_env.options import BuildOptions
from katcore.disk.cache import cache_dir
from katcore.environment.built import ensure_environment, environment_mounts
from katcore.environment.workspace import workspace
from katcore.errors import RecordError, Rejected
from katcore.mine.changes import Changes, commits
from katcore.records import Change, Scaffold, Task, Trajectory, encode
from katcore.sandbox import Spec, sandbox
from katcore.source.diff import paths
from katcore.testrun.grade import judge
from katcore.testrun.run import prepare, run_tests
from katcore.verify.verifier import Verifier
from tests.support.projects import BASE, HEAD, change
from tests.support.repos import Repo

pytestmark = pytest.mark.slow

ADD = "tests/test_add.py::"


@pytest.fixture(scope="session")
def mined(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Change:
    return change(tmp_path_factory.mktemp("history") / "calm", BASE, HEAD)


@pytest.fixture(scope="session")
def task(mined: Change) -> Iterator[Task]:
    yield Builder().build(mined)


def grade(task: Task, patch: str) -> bool:
    box = sandbox().create(
        Spec("test", repo=workspace(task.source), mounts=environment_mounts(task.environment, sandbox()))
    )
    try:
        prepare(box, task.environment, patch=patch, test_files=task.test_files)
        run = run_tests(box, task.environment, 60)
        return judge(run.outcomes, task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS).passed
    finally:
        box.close()


def test_lists_and_evidence(task: Task, mined: Change) -> None:
    assert list(task.verification.FAIL_TO_PASS) == [f"{ADD}test_add[one and two]", f"{ADD}test_add[two::[two]]"]
    assert list(task.verification.PASS_TO_PASS) == [
        f"{ADD}test_metadata", f"{ADD}test_script", f"{ADD}test_zero[\\u4e03]", f"{ADD}test_zero[null]",
    ]  # fmt: skip
    assert len(task.evidence.flaky) == 6 and all("test_never_the_same" in test for test in task.evidence.flaky)
    assert task.evidence.excluded == [f"{ADD}test_expected", f"{ADD}test_network", f"{ADD}test_skipped"]
    *whole, part = [(run["state"], run.get("files")) for run in task.evidence.runs]
    assert whole == [("before", None)] * 3 + [("after", None)] * 3 and part == ("before", ["tests/test_add.py"])
    assert task.instance_id == instance_id(mined) == f"calm-{mined.id[:12]}"


def test_the_record_is_whole_and_carries_nothing_of_this_machine(task: Task, cache: Path) -> None:
    text = msgspec.json.encode(task)
    assert msgspec.json.decode(text, type=Task) == task
    assert str(cache).encode() not in text and str(Path.home()).encode() + b"/" not in text
    assert task.test_files["tests/test_add.py"].text == HEAD["tests/test_add.py"]
    assert task.test_files["tests/data.bin"].base64 == "AP8="
    assert (
        task.test_files["conftest.py"].text is None and task.test_files["pyproject.toml"].text == BASE["pyproject.toml"]
    )
    assert all("==" in line and "--hash=sha256:" in line for line in task.environment.lock)
    assert "Sums were differences." in task.problem_statement and "a + b" not in task.problem_statement
    assert "Fixes #3" not in task.problem_statement


def test_gold_passes_and_doing_nothing_fails(task: Task) -> None:
    assert grade(task, task.patch)
    assert not grade(task, "")


def test_the_environment_is_built_again_from_the_lock_alone(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(cache_dir("env") / task.environment.digest)
    monkeypatch.setattr("katcore.environment.pip.resolve", None)
    made = ensure_environment(task.environment, sandbox())
    assert (made / "bin" / "pytest").read_text().splitlines()[0] == "#!/opt/env/bin/python"
    assert grade(task, task.patch)


def test_a_lock_with_another_hash_is_not_installed(task: Task) -> None:
    lock = [line[:-4] + "0000" for line in task.environment.lock]
    with pytest.raises(RecordError, match="DO NOT MATCH THE HASHES"):
        ensure_environment(msgspec.structs.replace(task.environment, lock=lock, digest=""), sandbox())


def test_another_platform_is_refused_by_name(task: Task) -> None:
    foreign = msgspec.structs.replace(task.environment, base="cpython-3.7", digest="")
    with pytest.raises(RecordError, match=r"the task needs cpython-3\.7"):
        ensure_environment(foreign, sandbox())


def test_the_result_does_not_depend_on_when_it_is_built(task: Task, mined: Change) -> None:
    again = Builder().build(mined)
    assert [run["counts"] for run in again.evidence.runs] == [run["counts"] for run in task.evidence.runs]
    again.evidence = task.evidence  # the ids of test_never_the_same
    assert again == task


def test_extension_modules_and_unittest(tmp_path: Path) -> None:
    setup = (
        "from setuptools import setup, Extension\n"
        "setup(name='fast', version='1', py_modules=['fast'], ext_modules=[Extension('_fast', ['_fast.c'])])\n"
    )
    code = (
        "#include <Python.h>\n"
        "static PyObject *two(PyObject *s, PyObject *a) { return PyLong_FromLong(1); }\n"
        'static PyMethodDef m[] = {{"two", two, METH_NOARGS, 0}, {0}};\n'
        'static struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "_fast", 0, -1, m};\n'
        "PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&d); }\n"
    )
    test = (
        "import unittest, fast\nclass Two(unittest.TestCase):\n"
        "    def test_two(self): self.assertEqual(fast.two(), 2)\n"
        "    def test_there(self): self.assertTrue(fast.two)\n"
    )
    base = {"setup.py": setup, "_fast.c": code, "fast.py": "from _fast import two\n", "tests/__init__.py": ""}
    head = {"_fast.c": code.replace("FromLong(1)", "FromLong(2)"), "tests/testfast.py": test}
    task = Builder(BuildOptions(runs=1)).build(
        change(tmp_path / "fast", base, head, "Two is 2 and assertEqual is content")
    )
    assert task.verification.FAIL_TO_PASS == ["tests/testfast.py::Two::test_two"]
    assert task.verification.PASS_TO_PASS == ["tests/testfast.py::Two::test_there"]


NEEDY = r"""
import os, pathlib, mm
HERE = pathlib.Path(__file__).resolve().parent
def test_f():
    assert mm.f(1) == int(open(os.path.join(os.fsencode(HERE), b"d\xe9ta.txt")).read())
def test_g():
    assert mm.f(2) == int((HERE.parent / "samples" / "three.txt").read_text())
def test_ok():
    pass
"""


def test_data_that_only_tests_need_is_there_for_somebody_who_never_saw_it(tmp_path: Path) -> None:
    """Below the tests, in a name that is not UTF-8; and elsewhere, named by the tests alone."""
    repo = Repo(tmp_path / "need")
    source = "def f(x):\n    return x\n"
    pyproject = '[project]\nname = "need"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["mm"]\n'
    repo.commit("one", {"pyproject.toml": pyproject, "mm.py": source, "tests/test_mm.py": "def test_ok(): pass\n"})
    repo.write(b"tests/d\xe9ta.txt", "2\n")
    repo.write("samples/three.txt", "3\n")
    message = "Callers get the number that follows theirs, as the samples have it"
    repo.commit(message, {"mm.py": source.replace("return x", "return x + 1"), "tests/test_mm.py": NEEDY})
    (item, *_) = commits([str(repo.folder)])
    (mined,) = Changes()(item)
    built = Builder(BuildOptions(runs=1)).build(mined)
    assert {r'"tests/d\351ta.txt"', "samples/three.txt"} <= built.test_files.keys()
    assert built.verification.FAIL_TO_PASS == ["tests/test_mm.py::test_f", "tests/test_mm.py::test_g"]
    assert paths(built.patch) == ["mm.py"]
    attempt = Trajectory(
        id="right", task_id="n", group_id="g", scaffold=Scaffold(name="s"), model="m", patch=built.patch
    )  # fmt: skip
    again = msgspec.json.decode(encode(built), type=Task)
    assert Verifier().verdict(attempt, again).reward == 1.0
    stray = rb'diff --git "a/tests/d\351ta.txt" "b/tests/d\351ta.txt"'.decode()
    weaker = stray + '\nnew file mode 100644\n--- /dev/null\n+++ "b/tests/d\\351ta.txt"\n@@ -0,0 +1 @@\n+1\n'
    cheat = msgspec.structs.replace(attempt, patch=built.patch.replace("x + 1", "x") + weaker)
    verdict = Verifier().verdict(cheat, again)
    assert verdict.reward == 0.0 and verdict.flags == [r'dropped:"tests/d\351ta.txt"']


@pytest.mark.parametrize("top", ["", "src/"])
def test_a_suite_inside_the_package_is_whole(tmp_path: Path, top: str) -> None:
    base = {
        "setup.py": "from setuptools import setup\nsetup(name='calm')\n",
        f"{top}calm/__init__.py": "def add(a, b):\n    return a - b\n",
        f"{top}calm/tests/__init__.py": "",
        f"{top}calm/tests/test_add.py": "",
        f"{top}calm/tests/test_zero.py": "from calm import add\ndef test_zero(): assert add(1, 0) == 1\n",
        f"{top}calm/deep/tests/test_deep.py": "def test_deep(): pass\n",
        "docs/test_docs.py": "def test_docs(): pass\n",
    }
    head = {
        f"{top}calm/__init__.py": "def add(a, b):\n    return a + b\n",
        f"{top}calm/tests/test_add.py": "from calm import add\ndef test_add(): assert add(1, 1) == 2\n",
    }
    message = "Numbers return as their sum, which callers assert"
    task = Builder(BuildOptions(runs=1)).build(change(tmp_path / "calm", base, head, message))
    lists = (task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS)
    inside = f"{top}calm"
    assert lists == (
        [f"{inside}/tests/test_add.py::test_add"],
        [f"{inside}/deep/tests/test_deep.py::test_deep", f"{inside}/tests/test_zero.py::test_zero"],
    )


def rejected(mined: Change) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        Builder(BuildOptions(runs=1, timeout=20)).build(mined)
    return caught.value.stage, caught.value.reason


def test_changes_that_make_no_task(tmp_path: Path, mined: Change) -> None:
    replace = msgspec.structs.replace
    assert rejected(replace(mined, patch="")) == ("select", "no_source_patch")
    assert rejected(replace(mined, test_patch="")) == ("select", "no_test_patch")
    assert rejected(replace(mined, patch=mined.patch.replace(".py", ".rb"))) == ("select", "not_python")
    assert rejected(replace(mined, title="Merge branch 'stable'", body="")) == ("statement", "statement_too_thin")
    assert rejected(replace(mined, title="refactor: sums", body="")) == ("statement", "statement_too_thin")
    assert rejected(replace(mined, patch=mined.patch.replace("a - b", "b - a"))) == ("source", "patch_does_not_apply")
    test = "from calm_sums import add\ndef test_null(): assert add(1, 0) == 1\n"
    assert rejected(change(tmp_path / "a", BASE, {**HEAD, "tests/test_add.py": test})) == ("f2p", "no_f2p")
    test += "def test_new(): assert add(1, 1) == 2\ndef test_old(): assert add(3, 1) == 2\n"
    assert rejected(change(tmp_path / "b", BASE, {**HEAD, "tests/test_add.py": test})) == ("p2p", "p2p_broken")
    old = BASE["pyproject.toml"].replace('version = "2.5"', 'version = "2.5"\nrequires-python = "<3.0"')
    assert rejected(change(tmp_path / "c", {**BASE, "pyproject.toml": old}, HEAD)) == ("recipe", "no_recipe")
    none = BASE["pyproject.toml"].replace("dependencies = []", 'dependencies = ["pytest<1", "pytest>2"]')
    none += '[tool.poetry.dependencies]\nelsewhere = {git = "https://example.org/elsewhere.git"}\n'
    with pytest.raises(Rejected) as caught:
        Builder().build(change(tmp_path / "d", {**BASE, "pyproject.toml": none}, HEAD))
    assert (caught.value.stage, caught.value.reason) == ("environment", "unresolved")
    assert caught.value.evidence["left_out"] == ["elsewhere: comes by git, not from an index"]
    hangs = {**HEAD, "src/calm_sums/__init__.py": "import os\nos._exit(0)\n"}
    assert rejected(change(tmp_path / "e", BASE, hangs)) == ("after_run", "nothing_passes")


def test_a_change_is_validated_as_attempts_are_graded(tmp_path: Path) -> None:
    """A new tox.ini never reaches the grading box, so what works only with it is no task."""
    source = BASE["src/calm_sums/__init__.py"].replace("a - b", "a + b if os.path.exists('tox.ini') else a - b")
    zero = "from calm_sums import add\ndef test_zero(): assert add(1, 0) == 1\n"
    base = {**BASE, "tests/test_add.py": zero}
    head = {
        "src/calm_sums/__init__.py": "import os\n" + source,
        "tests/test_add.py": zero + "def test_two(): assert add(1, 1) == 2\n",
    }
    assert rejected(change(tmp_path / "tox", base, {**head, "tox.ini": "[tox]\n"})) == ("f2p", "no_f2p")
