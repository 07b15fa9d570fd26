"""Write the logs of `tests/testrun/reports/logs` again: `python -m tests.support.real_logs [NAME ...]`, in real boxes.

Each is what a runner prints about a project of `tests/testrun/projects`, or one of `projects/` beside the logs, where
tests print what looks like results: standard error is among standard output, and the command has the options of
the datasets' test commands. The programs come from where `real_runners.py` has them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from katcore.environment.built import environment_mounts
from katcore.records import Environment
from katcore.sandbox import Mount, Sandbox, Spec, sandbox
from katcore.sandbox.bubblewrap import Bubblewrap
from tests.support import ROOT, real_runners
from tests.support.real_runners import DEBIAN, NODE, NPM, PROJECTS, debian, ensure_node, npm

REPORTS = ROOT / "tests/testrun/reports/logs"
OWN = REPORTS / "projects"
_PYTEST = "/opt/env/bin/python -m pytest -p no:cacheprovider --no-header"

_PYTEST_3 = "/opt/env/bin/python -m pytest -p no:cacheprovider --assert=plain"
_OLD = ("pytest==3.10.1", "setuptools<70")


@dataclass(frozen=True)
class Run:
    """A project (`own/` for those beside the logs), the command, and what it needs: a program of `real_runners`, or
    packages from PyPI.
    """

    project: str
    command: str
    program: str = "pytest"
    packages: tuple[str, ...] = ("pytest",)


RUNS: dict[str, Run] = {
    "pytest": Run("own/pytest", f"{_PYTEST} -rA tests/test_calc.py"),
    "pytest_6": Run("own/pytest", f"{_PYTEST} -rA tests/test_calc.py", packages=("pytest==6.2.5",)),
    "pytest_3": Run("own/pytest", f"{_PYTEST_3} -rfEsxXp tests/test_calc.py", packages=_OLD),
    "pytest_3_verbose": Run(
        "own/pytest", f"{_PYTEST_3} -rA -vv -o console_output_style=classic --tb=no tests/test_calc.py", packages=_OLD
    ),
    "pytest_xdist": Run("own/pytest", f"{_PYTEST} -rA -n 2 -v tests/test_calc.py", packages=("pytest", "pytest-xdist")),
    "pytest_verbose": Run("own/pytest", f"{_PYTEST} -v --color=yes tests/test_calc.py"),
    "pytest_import_error": Run(
        "own/pytest", f"{_PYTEST} -rA --continue-on-collection-errors tests/test_calc.py tests/test_broken.py"
    ),
    "pytest_forged_reason": Run("own/pytest", f"{_PYTEST} -rA -q tests/test_forges.py"),
    "pytest_no_tests": Run("own/pytest", f"mkdir empty; {_PYTEST} -rA empty"),
    "django": Run(
        "own/django",
        "DJANGO_SETTINGS_MODULE=settings PYTHONPATH=. /opt/env/bin/python -m django test -v 2",
        packages=("django",),
    ),
    "unittest_forged": Run("own/django", "/opt/env/bin/python -m unittest -v forged", packages=("django",)),
    "go": Run("go", "go test -v ./calc ./panics", "go"),
    "go_json": Run("go", "go test -json ./calc", "go"),
    "cargo": Run("cargo", "cargo test --offline --no-fail-fast", "cargo"),
    "ctest": Run("ctest", "cmake -S . -B /tmp/b >/dev/null && ctest --test-dir /tmp/b", "ctest"),
    "phpunit": Run("phpunit", "phpunit --testdox", "phpunit"),
    "sympy": Run("own/sympy", "/opt/env/bin/python run.py test_calc.py test_whole.py", packages=("sympy==1.12",)),
    "minitest": Run("own/ruby", "ruby minitest_calc.rb -v --seed 1", "rspec"),
    "ruby_unit": Run("own/ruby", "ruby unit_calc.rb -v", "rspec"),
    "maven": Run("maven", "mvn --offline --batch-mode -Dstyle.color=never test", "maven"),
    "mocha": Run("mocha", "node_modules/.bin/mocha", "mocha"),
    "mocha_tap": Run("mocha", "node_modules/.bin/mocha --reporter tap", "mocha"),
    "jest": Run("jest", "node_modules/.bin/jest --ci --verbose", "jest"),
    "vitest": Run("vitest", "node_modules/.bin/vitest run --reporter=verbose", "vitest"),
}
_ENV = {
    "PATH": "/opt/node/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "COLUMNS": "100", "HOME": "/tmp/home",
    "GOPROXY": "off", "GOCACHE": "/tmp/go-cache", "GOTOOLCHAIN": "local", "CARGO_HOME": "/tmp/cargo-home",
    "RUST_TEST_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip


def log(name: str, folder: Path) -> bytes:
    """What the runner prints; `folder` is for a copy of the project."""
    run = RUNS[name]
    project = OWN / run.project[4:] if run.project.startswith("own/") else PROJECTS / run.project
    subprocess.run(["cp", "-r", f"{project}/.", folder], check=True)
    boxes: Sandbox = Bubblewrap(root=debian()) if run.program in DEBIAN else sandbox()
    box = boxes.create(Spec(f"log-{name}", folder, mounts=_mounts(run, folder, boxes)))
    try:
        return box.exec(f"({run.command}) 2>&1", env=_ENV, timeout_s=300).stdout
    finally:
        box.close()


def _mounts(run: Run, folder: Path, boxes: Sandbox) -> tuple[Mount, ...]:
    if run.program in NPM:
        (folder / "node_modules").symlink_to("/opt/npm/node_modules")
        return (
            Mount(ensure_node(NODE), "/opt/node"),
            Mount(npm(run.program) / "node_modules", "/opt/npm/node_modules"),
        )
    if run.program in DEBIAN:
        return ()
    real_runners.PYTHON["log"] = list(run.packages)
    environment: Environment = real_runners.environment_of("log")
    return environment_mounts(environment, boxes)


if __name__ == "__main__":
    for name in sys.argv[1:] or RUNS:
        with tempfile.TemporaryDirectory() as made:
            (REPORTS / f"{name}.log").write_bytes(log(name, Path(made)))
        print(name)
