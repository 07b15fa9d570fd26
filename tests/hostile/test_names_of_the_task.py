"""Reading which task this is, and whose machine, from what the kernel tells of a box's processes and mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.sandbox_cases import Make, said

pytestmark = pytest.mark.slow

NAME = "rollout-org__project-4711"
LOOK = "cd /proc; cat */environ */cmdline */mountinfo */cgroup mounts /etc/* 2>/dev/null | tr '\\0' '\\n'; ls -R /dev"


def test_names_of_the_task(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/somebodys-home/bin:{os.environ['PATH']}")
    repo = tmp_path / "repo"
    repo.mkdir(mode=0o755)
    box = make(name=NAME, repo=repo)
    told = box.exec(LOOK).stdout.decode("utf-8", "replace")
    assert " /proc " in told
    assert "4711" not in told and "somebodys-home" not in told


def test_its_name_is_known_outside(make: Make, kind: str, cache: Path) -> None:
    """That is where the name comes from which a box could have read."""
    box = make(name="hostile-4711")
    if kind == "bubblewrap":
        (label,) = (cache / "box").glob("*/hostile-4711-*")
        assert "4711" not in str(label.resolve()) and (label / "upper").is_dir()
    assert said(box.exec(["hostname"])) == "box"
