"""The real `harbor` and `swebench` packages on tasks of ours: does each say what KAT says?

    scripts/test-datasets            makes all that is needed, and runs this

`harbor` runs two exported tasks, one with pinned wheels and one without, with its own oracle and nop agents in an image
built from the exported Dockerfile. `swebench` grades the log of each patch of a list, written by the exported eval.sh
in a box; KAT judges the report of that very run. A patch on which both must differ says why: those are the cases where
KAT is stricter on purpose. Ends with 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/verify"), str(ROOT / "tests/dataset")]

from dataset_rows import HUMANEVAL  # noqa: E402
from grading import BASE, CALM, FIXED, GOLD, calm_task, environment_with_pytest, patch  # noqa: E402

from katcore.dataset import FORMATS, swe_bench  # noqa: E402
from katcore.records import Task, encode  # noqa: E402
from katcore.sandbox import Spec, sandbox  # noqa: E402
from katcore.testrun.environment import environment_mounts  # noqa: E402
from katcore.testrun.grade import judge  # noqa: E402
from katcore.testrun.reports import junit  # noqa: E402
from katcore.testrun.run import RUN_ENV, prepare  # noqa: E402
from katcore.testrun.workspace import workspace  # noqa: E402

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
            "packages": {name: version(options.peers, name) for name in ("harbor", "swebench")},
        }
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    rewards = all(run["oracle"] == 1 and run["nop"] == 0 for run in found["harbor"].values())
    graded = all(
        row["kat"] == row["swebench"] or (name in STRICTER and not row["kat"])
        for name, row in found["swebench"].items()
    )
    whole = not found["tree"]["problems"] and found["tree"]["tasks"] == len(found["harbor"])
    sys.exit(0 if rewards and graded and whole else 1)


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
        env = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks/peers"), "HOME": str(top)}
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
        outcomes = junit.read(report).statuses if report else {}
        passed = judge(outcomes, task.verification.FAIL_TO_PASS, task.verification.PASS_TO_PASS).passed
        found[name] = {"kat": passed}
    asked = json.dumps({"row": row, "logs": logs})
    done = subprocess.run([peers / "python", ROOT / "benchmarks/peers/swebench_grade.py"], input=asked, text=True,
                          check=True, capture_output=True)  # fmt: skip
    for name, resolved in json.loads(done.stdout).items():
        found[name]["swebench"] = resolved
        if name in STRICTER:
            found[name]["stricter"] = STRICTER[name]
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
