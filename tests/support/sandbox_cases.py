"""What the sandbox tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from katcore.sandbox import Box, Result

KINDS = ("bubblewrap", pytest.param("docker", marks=pytest.mark.slow))
"""What the contract suite runs over."""
Make = Callable[..., Box]
Script = Callable[..., subprocess.CompletedProcess[str]]
BOMB = """
import os, time
count = 0
try:
    while count < 400:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        count += 1
except BlockingIOError:
    pass
print(count)
"""
"""Processes without end, up to 400; prints how many there were."""


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


def running(token: str) -> list[str]:
    """Processes of this machine with that word in their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if token in (process / "cmdline").read_text(errors="replace"):
                found.append(process.name)
        except OSError:
            continue
    return found
