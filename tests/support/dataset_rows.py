"""Small hand-made rows in every format, with the oddities that the real files have."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

Row = dict[str, Any]

PATCH = """diff --git a/pkg/a.py b/pkg/a.py
index 1111111..2222222 100644
--- a/pkg/a.py
+++ b/pkg/a.py
@@ -1,3 +1,3 @@ def f():
 one
--- a line of SQL, not a header
+++ three
 four
diff --git a/new.py b/new.py
new file mode 100644
index 0000000..3333333
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+x = 1
\\ No newline at end of file
diff --git a/old name.py b/new name.py
similarity index 100%
rename from old name.py
rename to new name.py
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
"""
TEST_PATCH = "diff --git a/tests/t.py b/tests/t.py\n--- a/tests/t.py\n+++ b/tests/t.py\n@@ -1 +1 @@\n-a\n+b\n"

SWE_BENCH: Row = {
    "repo": "astropy/astropy",
    "instance_id": "astropy__astropy-12907",
    "base_commit": "d16bfe05a744909de4b27f5875fe0d4ed41ce607",
    "patch": PATCH,
    "test_patch": TEST_PATCH,
    "problem_statement": "Modeling's `separability_matrix`\r\n…",
    "hints_text": "",
    "created_at": "2022-03-03T15:14:54Z",
    "version": "4.3",
    "FAIL_TO_PASS": '["a/t.py::test_f[log(photon / s)]", "a/t.py::test_\\u00e9"]',
    "PASS_TO_PASS": '["a/t.py::test_b"]',
    "environment_setup_commit": "298ccb478e6bf092953bca67a3d29dc6c35f6752",
}
VERIFIED = {**SWE_BENCH, "difficulty": "15 min - 1 hour"}
LITE = {**SWE_BENCH, "FAIL_TO_PASS": ["a/t.py::test_f"], "PASS_TO_PASS": [], "created_at": "2022-03-03 15:14:54"}
MULTIMODAL = {
    **SWE_BENCH,
    "image_assets": json.dumps({"problem_statement": ["https://x.test/a.png"]}),
    "language": "js",
}
SWE_BENCH_5: Row = {
    **{name: value for name, value in SWE_BENCH.items() if name not in ("FAIL_TO_PASS", "PASS_TO_PASS")},
    "FAIL_TO_PASS": ["a/t.py::test_f[log(photon / s)]"],
    "PASS_TO_PASS": ["a/t.py::test_b"],
    "image": "swebench/sweb.eval.x86_64.astropy_1776_astropy-12907:latest",
    "log_parser": "parse_log_astropy",
    "eval_type": "pass_and_fail",
    "eval_script": "#!/bin/bash\n: '>>>>> Start Test Output'\npytest -rA\n: '>>>>> End Test Output'\n",
    "image_assets": {"test_patch": [{"path": "a.png", "url": "https://x.test/a.png"}]},
}
SWE_SMITH: Row = {
    "instance_id": "oauthlib__oauthlib.1fd52536.combine_file__09vlzwgc",
    "patch": PATCH,
    "FAIL_TO_PASS": ["tests/t.py::test_f"],
    "PASS_TO_PASS": ["tests/t.py::test_b"],
    "image_name": "jyangballin/swesmith.x86_64.oauthlib_1776_oauthlib.1fd52536",
    "repo": "swesmith/oauthlib__oauthlib.1fd52536",
    "problem_statement": "",
}
SWE_REBENCH: Row = {
    **{name: SWE_BENCH[name] for name in ("repo", "instance_id", "base_commit", "patch", "test_patch")},
    "problem_statement": "…",
    "hints_text": None,
    "created_at": "2016-08-23 13:47:47",
    "FAIL_TO_PASS": ["t.py::f"],
    "PASS_TO_PASS": [],
    "license_name": "MIT License",
    "docker_image": "swerebench/sweb.eval.x86_64.a_1776_b-1",
    "meta": {"is_lite": True, "llm_score": {"difficulty_score": 1}},
    "install_config": {"python": "3.9", "install": "pip install -e .", "pre_install": None, "test_cmd": "pytest -rA",
                       "log_parser": "parse_log_pytest", "packages": "requirements.txt"},
}  # fmt: skip
SWE_REBENCH_V2: Row = {
    **{name: SWE_BENCH[name] for name in ("repo", "instance_id", "base_commit", "patch", "test_patch")},
    "created_at": 1609298073000,
    "problem_statement": "…",
    "pr_description": "adds\r\n",
    "interface": "",
    "language": "c",
    "license": "BSD-3-Clause",
    "FAIL_TO_PASS": ["tst_filter [1.34 ms]"],
    "PASS_TO_PASS": ["ok"],
    "image_name": "docker.io/swerebenchv2/unidata-netcdf-c:1925-ad6bff3",
    "meta": {"llm_metadata": [{"code": "A", "confidence": 0.97}], "pr_url": None},
    "install_config": {"base_image_name": "c_base", "install": ["./configure", "make"], "log_parser": "parse_log_ctest",
                       "test_cmd": ["make check", "cat log"]},
}  # fmt: skip
_RESULT = {"passed_count": 1, "failed_count": 0, "skipped_count": 0, "passed_tests": ["a"], "failed_tests": []}
MULTI_SWE: Row = {
    "org": "cli",
    "repo": "cli",
    "number": 10388,
    "state": "closed",
    "title": "gh repo sync",
    "body": "Fixes #1",
    "base": {"label": "cli:trunk", "ref": "trunk", "sha": "0f9e5b6d"},
    "resolved_issues": [{"number": 1, "title": "sync fails", "body": "It does."}],
    "fix_patch": PATCH,
    "test_patch": TEST_PATCH,
    "fixed_tests": {"TestSync": {"run": "PASS", "test": "FAIL", "fix": "PASS"}},
    "p2p_tests": {"TestOther": {"run": "PASS", "test": "PASS", "fix": "PASS"}},
    "f2p_tests": {"TestSync": {"run": "PASS", "test": "FAIL", "fix": "PASS"}},
    "s2p_tests": {"TestSkipped": {"run": "SKIP", "test": "SKIP", "fix": "PASS"}},
    "n2p_tests": {"TestNew": {"run": "NONE", "test": "NONE", "fix": "PASS"}},
    "run_result": _RESULT,
    "test_patch_result": _RESULT,
    "fix_patch_result": _RESULT,
}
_CASES = [{"input": "3\n1 2 3\n", "output": "6\n", "testtype": "stdin"}]
_HIDDEN = [{"input": "[1]\n2", "output": "3", "testtype": "functional"}]
LIVECODEBENCH: Row = {
    "question_title": "Sum",
    "question_content": "Print the sum.",
    "platform": "leetcode",
    "question_id": "2730",
    "contest_id": "weekly-contest-350",
    "contest_date": "2023-06-17T00:00:00",
    "starter_code": "class Solution:\n    def total(self, a):\n        ",
    "difficulty": "easy",
    "public_test_cases": json.dumps(_CASES),
    "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(json.dumps(_HIDDEN)))).decode(),
    "metadata": '{"func_name": "total"}',
}
HUMANEVAL: Row = {
    "task_id": "HumanEval/2",
    "prompt": 'def double(x):\n    """Twice x.\n    >>> double(2)\n    4\n    """\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "\n\nMETADATA = {'author': 't'}\n\n\ndef check(candidate):\n    assert candidate(2) == 4\n",
}
MBPP: Row = {
    "task_id": 602,
    "text": "Write a function that adds two numbers.",
    "code": "def add(a, b):\r\n    return a + b",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
    "test_setup_code": "import math",
    "challenge_test_list": [],
}
IFEVAL: Row = {
    "key": 1000,
    "prompt": "Write 300+ words without commas.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{"relation": None, "num_words": None}, {"relation": "at least", "num_words": 300}],
}
ROWS: list[tuple[str, str, Row]] = [
    ("swe-bench", "original", SWE_BENCH),
    ("swe-bench", "verified", VERIFIED),
    ("swe-bench", "lite", LITE),
    ("swe-bench", "multimodal", MULTIMODAL),
    ("swe-bench", "5", SWE_BENCH_5),
    ("swe-smith", "python", SWE_SMITH),
    ("swe-rebench", "v1", SWE_REBENCH),
    ("swe-rebench", "v2", SWE_REBENCH_V2),
    ("multi-swe", "go", MULTI_SWE),
    ("livecodebench", "lite", LIVECODEBENCH),
    ("functions", "humaneval", HUMANEVAL),
    ("functions", "mbpp", MBPP),
    ("ifeval", "google", IFEVAL),
]
HARBOR: dict[str, str | bytes] = {
    "task.toml": 'version = "1.0"\n[metadata]\nauthor_name = "t"\ndifficulty = "easy"\n[verifier]\ntimeout_sec = 60.0\n'
    '[agent]\ntimeout_sec = 60.0\n[environment]\ncpus = 1\nmemory = "1G"\n',
    "instruction.md": "Write the sum of the numbers in numbers.txt to sum.txt.\n",
    "environment/Dockerfile": "FROM ubuntu:24.04\nWORKDIR /app\nENV GREETING=hello\nCOPY numbers.txt data/ ./\n",
    "environment/numbers.txt": "1\n2\n39\n",
    "environment/data/blob.bin": bytes(range(256)),
    "solution/solve.sh": '#!/bin/bash\nset -e\n[ "$GREETING" = hello ]\n'
    'awk "{s+=\\$1} END {print s}" numbers.txt > sum.txt\n',
    "tests/test.sh": "#!/bin/bash\nif bash /tests/check.sh; then echo 1 > /logs/verifier/reward.txt\n"
    "else echo 0 > /logs/verifier/reward.txt; fi\n",
    "tests/check.sh": '[ -f blob.bin ] && [ "$(cat sum.txt)" = 42 ]\n',
    "README.md": "not one of Harbor's\n",
}
