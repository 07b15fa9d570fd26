"""Grade logs with the real `swebench` package: standard input {row, logs: {name: path}}, standard output {name: bool}.

Runs under the interpreter that has the package; what is asked for is `swebench.harness.grading` alone.
"""

from __future__ import annotations

import json
import sys

from swebench.harness.grading import get_eval_report
from swebench.types import TestSpec

asked = json.load(sys.stdin)
row = asked["row"]
spec = TestSpec(
    instance_id=row["instance_id"], image=row["image"], eval_script_list=[], repo=row["repo"], version=row["version"],
    FAIL_TO_PASS=row["FAIL_TO_PASS"], PASS_TO_PASS=row["PASS_TO_PASS"], log_parser=row["log_parser"],
    eval_type=row["eval_type"],
)  # fmt: skip
found = {}
for name, path in asked["logs"].items():
    prediction = {"instance_id": row["instance_id"], "model_name_or_path": "t", "model_patch": "x"}
    found[name] = get_eval_report(spec, prediction, path, include_tests_status=False)[row["instance_id"]]["resolved"]
json.dump(found, sys.stdout)
