"""What the sandbox tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from katcore.sandbox import Box, Result

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("bubblewrap", pytest.param("docker", marks=pytest.mark.slow))
"""What the contract suite runs over."""
Make = Callable[..., Box]
Script = Callable[..., subprocess.CompletedProcess[str]]


def said(result: Result) -> str:
    """Standard output of a program that ended well."""
    assert result.code == 0, (result.code, result.stderr)
    return result.stdout.decode().strip()


def kept(cache: Path, name: str = "test") -> list[str]:
    """What this machine and its engine keep for boxes of that name whose runner uses this cache."""
    found = [str(path) for path in (cache / "box").glob(f"*/{name}-*")]
    if os.environ.get("DOCKER_HOST"):
        label = [f"label=kat.box={name}", f"label=kat.cache={cache / 'box'}"]
        command = ["docker", "ps", "--all", "--quiet", *(word for one in label for word in ("--filter", one))]
        found += subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return sorted(found)
