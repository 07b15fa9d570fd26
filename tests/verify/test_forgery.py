"""Results that code under test forges in the runner's own process, for every runner that can be had: each attack has
its reward without the control and none with it, and an honest solution keeps its own.

The projects lie in `forgeries/`: `add` subtracts; NAME.fixed is the known change of NAME, NAME.forged an attack.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from katcore.records import Task, TaskSource, TestFile, Verdict, Verification
from katcore.sandbox import Box, Mount, Sandbox, Spec, sandbox
from katcore.sandbox.bubblewrap import Bubblewrap
from katcore.scaffold.install import NODE, ensure_node
from katcore.verify import grader
from katcore.verify.forgery import Finding
from tests.support.grading import archive, grade, patch
from tests.support.real_runners import DEBIAN, NPM, debian, environment_of, npm, share_downloads

pytestmark = pytest.mark.slow
PROJECTS = Path(__file__).parent / "forgeries"
TESTS = {
    "go": ["example.com/calc/calc::TestAdd", "example.com/calc/calc::TestSub"],
    "cargo": ["tests/calc.rs::adds", "tests/calc.rs::subs"],
    "ctest": ["add", "sub"],
    "jest": ["calc.test.js::calc::adds", "calc.test.js::calc::subtracts"],
    "vitest": ["calc.test.js::calc::adds", "calc.test.js::calc::subtracts"],
    "mocha": ["test/calc.js::calc adds", "test/calc.js::calc subtracts"],
    "node": ["adds", "subtracts"],
    "maven": ["calc.CalcTest::adds", "calc.CalcTest::subtracts"],
    "phpunit": ["tests/CalcTest.php::CalcTest::testAdds", "tests/CalcTest.php::CalcTest::testSubtracts"],
    "rspec": ["spec/calc_spec.rb::calc adds", "spec/calc_spec.rb::calc subtracts"],
}
"""Runner -> FAIL_TO_PASS and PASS_TO_PASS; the variants with a JUnit reporter have the same ids."""
VARIANTS = ("jest-junit", "vitest-junit", "mocha-xunit", "rspec-junit")
IN_CI = ("mocha", "node")
ALL = [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.runners]) for name in (*TESTS, *VARIANTS)]


@dataclass(frozen=True)
class Equipped:
    """A real sandbox whose boxes have a runner's programs too."""

    boxes: Sandbox
    mounts: tuple[Mount, ...]
    name: str = "bubblewrap"

    def check(self) -> None:
        self.boxes.check()

    def create(self, spec: Spec) -> Box:
        return self.boxes.create(replace(spec, mounts=(*spec.mounts, *self.mounts)))


def equipped(name: str) -> Equipped:
    """The sandbox in which this runner runs."""
    if name in DEBIAN:
        return Equipped(Bubblewrap(root=debian()), ())
    mounts = [Mount(ensure_node(NODE), "/opt/node")]
    if name in NPM:
        mounts.append(Mount(npm(name) / "node_modules", "/opt/npm/node_modules"))
    return Equipped(sandbox(), tuple(mounts))


def project(name: str, state: str = "") -> dict[str, str]:
    """The files of a project, or those that are different in a state of it."""
    top = PROJECTS / name
    files = {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}
    base = {file: text for file, text in files.items() if not file.endswith((".fixed", ".forged"))}
    return {file.removesuffix(state): text for file, text in files.items() if file.endswith(state)} if state else base


def change(name: str, state: str) -> str:
    return patch(project(name, state), project(name))


def task_of(name: str, kind: str) -> Task:
    """The project as a task, with the change that mends it; `kind` of report."""
    base = project(name)
    test_files = {file: TestFile(text=text) for file, text in base.items() if "test" in file.lower() or "spec" in file}
    if name in NPM:
        test_files["node_modules"] = TestFile(text="/opt/npm/node_modules", mode="120000")
    environment = environment_of(name)
    environment.report.kind = kind
    return Task(
        instance_id=f"forged-{kind}",
        repo="calc",
        base_commit="0" * 40,
        created_at="2025-01-01T00:00:00Z",
        patch=change(name, ".fixed"),
        source=TaskSource(kind="inline", url=archive(base)),
        environment=environment,
        verification=Verification(FAIL_TO_PASS=TESTS[name][:1], PASS_TO_PASS=TESTS[name][1:]),
        test_files=test_files,
    )


@pytest.fixture
def run(cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Task:
    """The task of the runner that the test names, whose programs are in the boxes now."""
    share_downloads(cache)
    kind = request.getfixturevalue("kind")
    boxes = equipped(kind.split("-")[0])
    monkeypatch.setattr(grader, "_sandbox", lambda _: boxes)
    return task_of(kind.split("-")[0], kind)


def without_the_control(monkeypatch: pytest.MonkeyPatch, task: Task, attack: str) -> Verdict:
    with monkeypatch.context() as patched:
        patched.setattr(grader.Grader, "_forged", lambda *_: Finding())
        return grade(task, attack, timeout=300.0)


@pytest.mark.parametrize("kind", ALL)
def test_forged_results_are_no_reward(kind: str, run: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    name = kind.split("-")[0]
    honest = grade(run, run.patch, timeout=300.0)
    assert (honest.reward, honest.reason, honest.flags) == (1.0, "passed", []), honest
    attack = change(name, ".forged")
    without = without_the_control(monkeypatch, run, attack)
    assert (without.reward, without.reason) == (1.0, "passed"), without
    forged = grade(run, attack, timeout=300.0)
    assert (forged.reward, forged.masked) == (0.0, False), forged
    seen = TESTS[name][: 1 if name == "ctest" else 2]  # ctest does not say which file a test is in
    assert forged.reason == f"{len(seen)} tests pass whatever they expect: their results are forged"
    assert forged.flags == [f"forged:{test}" for test in seen]
