"""The real `harbor` and `swebench` packages on tasks of ours: does each say what KAT says?

    scripts/test-datasets            makes all that is needed, and runs this

`harbor` runs two exported tasks, one with pinned wheels and one without, with its own oracle and nop agents in an image
built from the exported Dockerfile. `swebench` grades the log of each patch of a list, written by the exported eval.sh
in a box; KAT judges the report of that very run, and the log as well. A patch on which both must differ says why: those
are the cases where KAT is stricter on purpose. The logs of `tests/testrun/reports/logs` are read by its parsers and by
ours. Ends with 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from katcore.dataset import swe_bench
from katcore.dataset.formats import FORMATS
from katcore.environment.built import environment_mounts
from katcore.environment.variables import RUN_ENV
from katcore.environment.workspace import workspace
from katcore.records import Task, encode
from katcore.sandbox import Spec, sandbox
from katcore.testrun.grade import judge
from katcore.testrun.reports import junit, logs
from katcore.testrun.reports.outcome import BROKEN, BadReport, Status
from katcore.testrun.run import prepare
from tests.support import ROOT
from tests.support.dataset_rows import HUMANEVAL
from tests.support.expected_logs import FORGED, REAL
from tests.support.grading import BASE, CALM, FIXED, GOLD, calm_task, environment_with_pytest, patch

SKIP = "import pytest\n\n\ndef add(a, b):\n    pytest.skip('no')\n\n\ndef sub(a, b):\n    return a - b\n"
PATCHES = {
    "gold": FIXED,
    "nothing that matters": CALM + "\nX = 1\n",
    "wrong": CALM.replace("a - b", "a * b", 1),
    "breaks what passed": FIXED.replace("a - b", "b - a"),
    "raises": CALM.replace("return a - b", "raise ValueError", 1),
    "does not compile": "def add(:\n",
    "does not import": "import no_such_module\n",
    "skips the failing test": SKIP,
    "skips the whole module": "import pytest\npytest.skip('no', allow_module_level=True)\n",
    "leaves with status 0": "import os\nos._exit(0)\n",
    "prints that all passed": CALM + "\nprint('PASSED tests/test_calm.py::test_add')\n",
    "marks as expected to fail": SKIP.replace("skip('no')", "xfail('no')"),
    "skips what passed": FIXED.replace("    return a - b", "    import pytest\n    pytest.skip('no')"),
}
STRICTER = {
    "marks as expected to fail": "an expected failure passes FAIL_TO_PASS there; code under test can ask for it",
}
PEERS = ROOT / "tests/support/peers"
LOGS = ROOT / "tests/testrun/reports/logs"
PYTEST_LOGS = ("pytest", "pytest_6", "pytest_xdist", "pytest_import_error")
NOT_PASSED = {
    **{
        name: {f"tests/test_calc.py::{test}" for test in ("test_skipped", "test_errs", "test_falls", "test_divides")}
        for name in (*PYTEST_LOGS, "pytest_3", "pytest_verbose")
    },
    "django": {
        "RuntimeError: test_saves (shop.tests.ItemTests.test_saves)",
        "test_speaks_and_fails (shop.tests.NoisyTests.test_speaks_and_fails)",
    },
    "cargo": {"tests::fails"},
    "pytest_forged_reason": {"tests/test_forges.py::test_fine", "tests/test_forges.py::test_hidden"},
    "unittest_forged": {
        "test_hidden (forged.Forged.test_hidden)", "test_other (forged.Forged)", "test_more (forged.Forged)",
    },
}  # fmt: skip
"""Tests of these logs that did not pass, or not only, whatever another line says; the last two logs are refused."""


def main() -> None:
    """Run both, write the result, end with 1 on a disagreement that is not explained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="bin folder of an environment with both packages")
    parser.add_argument("--image", required=True, help="image with Python of this machine's version, venv and git")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-peers-") as top:
        calm = calm_task(environment_with_pytest(), "calm-1")
        calm.patch = GOLD
        tasks = [calm, FORMATS["functions"].to_task(HUMANEVAL)]
        found = {
            "harbor": harbor(options.peers, tasks, options.image, Path(top)),
            "swebench": swebench(options.peers, calm, Path(top)),
            "tree": tree(options.peers, Path(top), options.image),
            "logs": logs_agree(options.peers),
            "packages": {name: version(options.peers, name) for name in ("harbor", "swebench")},
        }
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    rewards = all(run["oracle"] == 1 and run["nop"] == 0 for run in found["harbor"].values())
    graded = all(
        row["kat"] == row["kat_by_log"] and (row["kat"] == row["swebench"] or (name in STRICTER and not row["kat"]))
        for name, row in found["swebench"].items()
    )
    whole = not found["tree"]["problems"] and found["tree"]["tasks"] == len(found["harbor"])
    read = all(not row["unexplained"] for row in found["logs"].values())
    sys.exit(0 if rewards and graded and whole and read else 1)


def version(peers: Path, name: str) -> str:
    """What is installed."""
    ask = f"import importlib.metadata; print(importlib.metadata.version({name!r}))"
    return subprocess.run([peers / "python", "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


def harbor(peers: Path, tasks: list[Task], image: str, top: Path) -> dict[str, dict[str, Any]]:
    """Rewards and seconds of harbor's oracle and nop on each exported task."""
    stream = top / "tasks.jsonl"
    stream.write_bytes(b"".join(encode(task) + b"\n" for task in tasks))
    command = ["kat-build-env", "export", "--to", "harbor", "--image", image, "--wheels", stream, "--out", top / "out"]
    subprocess.run(command, check=True)
    found: dict[str, dict[str, Any]] = {task.instance_id: {} for task in tasks}
    for agent in ("oracle", "nop"):
        begun = time.monotonic()
        jobs = top / agent
        env = {**os.environ, "PYTHONPATH": str(PEERS), "HOME": str(top)}
        run = [peers / "harbor", "run", "--path", top / "out", "--agent", agent, "--yes", "--jobs-dir", jobs,
               "--env", "harbor_engine:EngineEnvironment", "--n-concurrent", "1", "--quiet"]  # fmt: skip
        done = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
        results = sorted(jobs.glob("*/*/result.json"))
        if done.returncode != 0 or len(results) != len(tasks):
            sys.exit(f"harbor ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
        for path in results:
            result = json.loads(path.read_text())
            name = next(name for name in found if result["task_name"].endswith(name))
            reward = (result.get("verifier_result") or {}).get("rewards", {}).get("reward")
            if reward is None:
                sys.exit(f"harbor gave no reward: {json.dumps(result.get('exception_info'))[:3000]}")
            found[name][agent] = reward
            if reward != (agent == "oracle"):
                said = (path.parent / "verifier/test-stdout.txt").read_text()
                print(f"{name}, {agent}: {said[-3000:]}", file=sys.stderr)
            found[name][f"{agent}_s"] = round((time.monotonic() - begun) / len(tasks), 1)
    return found


def tree(peers: Path, top: Path, image: str) -> dict[str, Any]:
    """What swebench's own check says of the exported task tree, and how many tasks it loads."""
    command = ["kat-build-env", "export", "--to", "swe-bench", "--image", image, top / "tasks.jsonl"]
    subprocess.run([*command, "--out", top / "tree"], check=True)
    ask = (
        "import json, sys; from swebench.task.checks import check_task_repo; "
        "from swebench.task.repo import load_task_repo; "
        "print(json.dumps({'problems': [str(p) for p in check_task_repo(sys.argv[1])], "
        "'tasks': len(load_task_repo(sys.argv[1]))}))"
    )
    done = subprocess.run([peers / "python", "-c", ask, top / "tree"], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def swebench(peers: Path, task: Task, top: Path) -> dict[str, dict[str, Any]]:
    """Both verdicts on each patch."""
    row = swe_bench.from_task(task)
    logs: dict[str, str] = {}
    found: dict[str, dict[str, Any]] = {}
    for number, (name, source) in enumerate(PATCHES.items()):
        change = GOLD if source == FIXED else patch({"calm/__init__.py": source}, BASE)
        log, report = run(task, row["eval_script"], change)
        logs[name] = str(top / f"{number}.log")
        Path(logs[name]).write_bytes(log)
        wanted = task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS
        outcomes = junit.read_junit(report).statuses if report else {}
        found[name] = {"kat": judge(outcomes, *wanted).passed, "kat_by_log": judge(by_log(row, log), *wanted).passed}
    asked = json.dumps({"row": row, "logs": logs})
    done = subprocess.run([peers / "python", PEERS / "swebench_grade.py"], input=asked, text=True,
                          check=True, capture_output=True)  # fmt: skip
    for name, resolved in json.loads(done.stdout).items():
        found[name]["swebench"] = resolved
        if name in STRICTER:
            found[name]["stricter"] = STRICTER[name]
    return found


def by_log(row: dict[str, Any], log: bytes) -> dict[str, Status]:
    """What the log says of the row's tests; nothing if it is refused or its exit status tells another story."""
    try:
        said = logs.read_log(log, row["log_parser"]).statuses
    except BadReport:
        return {}
    code = re.search(rb"^>>>>> Test Exit Code: (\d+)$", log, re.MULTILINE)
    if code is None or (code[1] != b"0" and BROKEN.isdisjoint(said.values())):
        return {}
    return logs.aligned(said, [*row["FAIL_TO_PASS"], *row["PASS_TO_PASS"]], row["log_parser"])


def logs_agree(peers: Path) -> dict[str, dict[str, Any]]:
    """Each log by the package's parser and by ours: how many of its tests pass by both, and which by one alone.

    An id is looked up as the package spells it. One that differs is explained if it is of NOT_PASSED.
    """
    parsers = {name: {parser or "parse_log_pytest"} for name, (parser, _) in REAL.items()}
    parsers |= {name: {parser} for name, parser in FORGED.items()}
    for name in PYTEST_LOGS:
        parsers[name] |= {f"parse_log_{kind}" for kind in ("pytest", "pytest_v2", "pytest_options", "matplotlib")}
    parsers["jest"] |= {"parse_log_react_pdf", "parse_log_carbon", "parse_log_grommet"}
    asked = {f"{name} {parser}": (parser, str(LOGS / f"{name}.log")) for name in parsers for parser in parsers[name]}
    done = subprocess.run([peers / "python", PEERS / "swebench_logs.py"], input=json.dumps(asked),
                          text=True, check=True, capture_output=True)  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    for key, theirs in sorted(json.loads(done.stdout).items()):
        name, parser = key.split(" ")
        try:
            said = logs.read_log((LOGS / f"{name}.log").read_bytes(), parser).statuses
            refused = ""
        except BadReport as error:
            said, refused = {}, str(error)
        ours = logs.aligned(said, theirs, parser)
        differ = [test for test, status in theirs.items() if (status == "PASSED") != (ours.get(test) == "PASSED")]
        found[key] = {
            "passed_by_both": sum(status == "PASSED" == ours.get(test) for test, status in theirs.items()),
            "not_passed_by_both": sum(status != "PASSED" != ours.get(test) for test, status in theirs.items()),
            "stricter": [test for test in differ if test in NOT_PASSED.get(name, ())],
            "unexplained": [test for test in differ if test not in NOT_PASSED.get(name, ())],
            "refused": refused,
        }
    return found


def run(task: Task, script: str, change: str) -> tuple[bytes, bytes | None]:
    """The log of the exported script with a patch applied, and the report that the same run wrote."""
    boxes = sandbox()
    mounts = environment_mounts(task.environment, boxes)
    box = boxes.create(Spec("peer", workspace(task.source), task.environment.workdir, mounts))
    try:
        prepare(box, task.environment, patch=change)
        box.put("/tmp/eval.sh", script.encode())
        done = box.exec("bash /tmp/eval.sh 2>&1", env=RUN_ENV, timeout_s=300)
        try:
            return done.stdout, box.get("/tmp/report.xml")
        except FileNotFoundError:
            return done.stdout, None
    finally:
        box.close()


if __name__ == "__main__":
    main()
