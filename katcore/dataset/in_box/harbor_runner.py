"""What `tests/test.sh` of an exported task runs inside the container.

Python 3.9 or later, standard library alone. In: `config.json` and `katcore/` beside this file. Out: 1 or 0 in
`/logs/verifier/reward.txt`. The task's own test files are written over what the agent left, then the tests run, and
exit status and report must agree. This program is copied into each exported task; KAT itself does not run it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REWARD = Path("/logs/verifier/reward.txt")


def main() -> None:
    """Write the reward and say why on standard output."""
    config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    passed, why = graded(config, Path(config["workdir"]))
    REWARD.parent.mkdir(parents=True, exist_ok=True)
    REWARD.write_text("1\n" if passed else "0\n", encoding="utf-8")
    print(why)


def graded(config: dict[str, Any], workdir: Path) -> tuple[bool, str]:
    """Whether the tests that tell pass."""
    sys.path.insert(0, str(HERE))
    from katcore.testrun.grade import judge
    from katcore.testrun.reports import junit
    from katcore.testrun.reports.outcome import BROKEN, BadReport

    restore(config["test_files"], workdir)
    env = {"HOME": "/tmp", **config["env"]}
    for command in config["setup"]:
        done = subprocess.run(["/bin/bash", "-c", command], cwd=workdir, env=env, check=False)
        if done.returncode != 0:
            return False, f"set-up ended with {done.returncode}"
    with tempfile.TemporaryDirectory(prefix="kat-report-") as top:
        name, source = config["plugin"]
        (Path(top) / "plugin").mkdir()
        (Path(top) / "plugin" / f"{name}.py").write_text(source, encoding="utf-8")
        path = ":".join(filter(None, [f"{top}/plugin", env.get("PYTHONPATH", "")]))
        env |= {config["report_variable"]: top, "PYTHONPATH": path}
        done = subprocess.run(["/bin/bash", "-c", config["test_command"]], cwd=workdir, env=env, check=False)
        try:
            outcomes = junit.read_junit((Path(top) / config["report"]).read_bytes()).statuses
        except (OSError, BadReport) as error:
            return False, f"no report: {error}"
    broken = any(status in BROKEN for status in outcomes.values())
    if done.returncode not in (0, 1, 2) or broken == (done.returncode == 0):
        return False, f"exit status {done.returncode} and report do not agree"
    grade = judge(outcomes, config["FAIL_TO_PASS"], config["PASS_TO_PASS"])
    bad = [test for test, status in {**grade.f2p, **grade.p2p}.items() if status != "PASSED"]
    return grade.passed, "passed" if grade.passed else f"{len(bad)} tests did not pass: {bad[:5]}"


def restore(found: dict[str, dict[str, str] | None], workdir: Path) -> None:
    """Write the task's test files; links that the agent put in their way are never followed."""
    for name, file in found.items():
        at = workdir
        for part in Path(name).parts[:-1]:
            at = at / part
            if at.is_symlink() or (at.exists() and not at.is_dir()):
                at.unlink()
        path = workdir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if file is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        data = base64.b64decode(file["base64"]) if "base64" in file else file["text"].encode("utf-8")
        if file["mode"] == "120000":
            path.symlink_to(os.fsdecode(data))
            continue
        path.write_bytes(data)
        path.chmod(0o755 if file["mode"] == "100755" else 0o644)


if __name__ == "__main__":
    main()
