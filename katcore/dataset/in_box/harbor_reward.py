"""Read the reward that a Harbor task's tests wrote, and say it as JUnit.

Python 3.6 or later, standard library alone. In: `reward.json` or `reward.txt` in `/logs/verifier`, and the report's
folder as the one argument. Out: `report.xml` in it; exit status 1 below a reward of 1, and where there is none.
"""

import json
import math
import pathlib
import sys

LOGS = pathlib.Path("/logs/verifier")


def main(folder: str) -> None:
    """One test case, which passes from 1 on."""
    try:
        reward = read()
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"no reward: {error}")
    good = math.isfinite(reward) and reward >= 1
    inner = "" if good else f'<failure message="{reward}"/>'
    case = f'<testcase name="harbor::reward">{inner}</testcase>'
    pathlib.Path(folder, "report.xml").write_text(f"<testsuite>{case}</testsuite>")
    sys.exit(0 if good else 1)


def read() -> float:
    """OSError, ValueError, KeyError and TypeError where there is no number."""
    if (LOGS / "reward.json").exists():
        found = json.loads((LOGS / "reward.json").read_text())
        return float(found["reward"] if isinstance(found, dict) else found)
    return float((LOGS / "reward.txt").read_text())


if __name__ == "__main__":
    main(sys.argv[1])
