"""Scripts of datasets end with the status of their tests: run by a real shell."""

from __future__ import annotations

import subprocess

import pytest

from katcore.testrun.reports.logs import END, START
from katcore.testrun.script import recorded

RUN = f"#!/bin/bash\nset -uxo pipefail\ngit status\ngit show\n: '{START}'\n{{test}}\n{{own}}: '{END}'\ntrue\n"


@pytest.mark.parametrize("own", ["", "code=$?\n"])
@pytest.mark.parametrize("test, status", [("true", 0), ("(exit 3)", 3), ("false | cat", 1), ("echo PASSED", 0)])
def test_a_script_ends_as_its_tests_did(test: str, status: int, own: str) -> None:
    done = subprocess.run(["bash", "-c", recorded(RUN.format(test=test, own=own))], capture_output=True, check=False)
    assert done.returncode == status
    assert b"git" not in done.stderr, "the whole repository would be shown"
    assert f": '{END}'".encode() in done.stderr and f": '{START}'".encode() in done.stderr


def test_a_script_without_markers_is_left_alone() -> None:
    assert recorded("set -e\nmake test\n") == "set -e\nmake test\n"
