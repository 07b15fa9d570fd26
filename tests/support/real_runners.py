"""Run a real test runner on a tiny project of ours, in a real box, as kat-verify does.

The projects lie in `tests/testrun/projects`, each with tests that pass, fail, err, are skipped and have parameters.
Programs come from a Debian root file system (`scripts/test-runners-root`), from npm's registry and from PyPI, all in
the cache.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from katcore.disk.cache import cache_dir, cache_root, fresh, locked, publish
from katcore.environment.built import environment_mounts, this_base, this_platform
from katcore.environment.pip import resolve
from katcore.records import Environment, Report
from katcore.sandbox import Box, Limits, Mount, Sandbox, Spec, sandbox
from katcore.sandbox.bubblewrap import Bubblewrap
from katcore.scaffold.install import NODE, ensure_node
from katcore.testrun.run import TestRun, run_tests
from katcore.testrun.runners import RUNNERS
from tests.support import ROOT

INSTALLED = cache_root()
"""Of whoever runs the tests: downloads are cached between runs, all else of the cache is each test run's own."""
PROJECTS = ROOT / "tests/testrun/projects"
SCRIPT = ROOT / "scripts/test-runners-root"
NPM = {
    "jest": ("jest@29.7.0", "jest-junit@16.0.0"),
    "mocha": ("mocha@11.7.1",),
    "vitest": ("vitest@2.1.9",),
}
DEBIAN = ("go", "cargo", "ctest", "phpunit", "rspec", "maven")
PYTHON = {"pytest": ["pytest"], "unittest": ["unittest-xml-reporting"]}
VERSIONS = {
    "pytest": "/opt/env/bin/python -m pytest --version",
    "unittest": "echo xmlrunner; sed -n 's/^Version: //p' /opt/env/lib/python*/site-packages/unittest_xml*/METADATA",
    "go": "go version",
    "cargo": "cargo --version",
    "jest": "node_modules/.bin/jest --version",
    "vitest": "node_modules/.bin/vitest --version",
    "mocha": "node_modules/.bin/mocha --version",
    "node": "node --version",
    "maven": "mvn --version | sed -n 1p; grep -o 'surefire-plugin.*[0-9]' pom.xml | sed 's/<.*>/ /'",
    "ctest": "ctest --version | head -n 1",
    "phpunit": "phpunit --version | head -n 1",
    "rspec": "rspec --version | grep core",
}
"""What each runner says it is, by a command in its box."""


@dataclass(frozen=True)
class Played:
    """What came of it: the run as KAT sees it, the report's bytes, the runner's version."""

    run: TestRun
    report: bytes
    version: str


def environment_of(name: str) -> Environment:
    """A task's environment for this runner, the runner's own command."""
    lock = []
    if name in PYTHON:
        lock = [
            f"{p['metadata']['name']}=={p['metadata']['version']} "
            f"--hash=sha256:{p['download_info']['archive_info']['hashes']['sha256']}"
            for p in resolve(PYTHON[name])
        ]
    env = {} if name in PYTHON or name in DEBIAN else {"PATH": "/opt/node/bin:/usr/bin:/bin"}
    return Environment(base=this_base(), platform=this_platform(), lock=sorted(lock), report=Report(kind=name), env=env)


def share_downloads(cache: Path) -> None:
    """Let a test run's own cache show what was downloaded before."""
    cache.mkdir(parents=True, exist_ok=True)
    for kind in ("scaffold", "test-runners"):
        (INSTALLED / kind).mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (cache / kind).symlink_to(INSTALLED / kind)


def debian() -> Path:
    """Debian's root file system with the runners that Debian packages, made once."""
    root = cache_dir("test-runners") / "root"
    with locked(root):
        subprocess.run([SCRIPT, root], check=True)
    return root


def npm(name: str) -> Path:
    """The folder with a runner's `node_modules`, installed from npm's registry once."""
    final = cache_dir("test-runners") / "-".join(NPM[name]).replace("@", "-")
    with locked(final):
        if not final.is_dir():
            node = ensure_node(NODE)
            program = [f"{node}/bin/node", f"{node}/lib/node_modules/npm/bin/npm-cli.js"]
            with fresh("test-runners") as made:
                flags = ["--prefix", str(made), "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
                subprocess.run([*program, "install", *flags, *NPM[name]], check=True)
                publish(made, final)
    return final


def play(name: str, folder: Path, tests: tuple[str, ...] = ()) -> Played:
    """Run the project's tests, or those of the units that `tests` lie in; `folder` is for a copy of the project."""
    program = name.split("-")[0]  # `jest-junit` is jest with another reporter
    environment = environment_of(program)
    environment.report.kind = name
    boxes: Sandbox = Bubblewrap(root=debian()) if program in DEBIAN else sandbox()
    mounts: tuple[Mount, ...] = ()
    subprocess.run(["cp", "-r", f"{PROJECTS / program}/.", folder], check=True)
    if program in PYTHON:
        mounts = environment_mounts(environment, boxes)
    elif program not in DEBIAN:
        mounts = (Mount(ensure_node(NODE), "/opt/node"),)
    if program in NPM:
        mounts += (Mount(npm(program) / "node_modules", "/opt/npm/node_modules"),)
        (folder / "node_modules").symlink_to("/opt/npm/node_modules")
    box = boxes.create(Spec(f"runner-{name}", folder, mounts=mounts, limits=Limits()))
    try:
        run = run_tests(box, environment, tests=tests, timeout_s=300)
        return Played(run, _report(box, RUNNERS[name].report), _version(box, program))
    finally:
        box.close()


def _report(box: Box, name: str) -> bytes:
    found = box.exec(f"ls /tmp/kat-report-*/{name}").stdout.decode().split()
    return box.get(found[0]) if found else b""


def _version(box: Box, name: str) -> str:
    env = {"PATH": "/opt/env/bin:/opt/node/bin:/usr/bin:/bin", "HOME": "/tmp/home"}
    done = box.exec(VERSIONS[name], env=env, timeout_s=60)
    said = re.sub(rb"\x1b\[[\d;]*m", b"", done.stdout + done.stderr)  # colours
    return " ".join(said.decode("utf-8", "replace").split()).lstrip("- ")
