"""What the sandbox tests share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from katcore.sandbox import Box, Result

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Box]
Script = Callable[..., subprocess.CompletedProcess[str]]


def said(result: Result) -> str:
    """Standard output of a program that ended well."""
    assert result.code == 0, (result.code, result.stderr)
    return result.stdout.decode().strip()
