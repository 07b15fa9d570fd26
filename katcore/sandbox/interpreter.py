"""An interpreter of this machine, by its installation: what boxes run as `/opt/python/bin/python3`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from katcore.errors import SandboxError


@dataclass(frozen=True)
class Python:
    """An interpreter of this machine: its installation's prefix and its real executable."""

    prefix: Path
    executable: Path
    version: str

    @classmethod
    def of(cls, path: Path | None) -> Python:
        """The interpreter behind `path`, in a virtual environment or not; by default the one that runs KAT."""
        if path is None:
            base = Path(getattr(sys, "_base_executable", sys.executable))
            return cls(Path(sys.base_prefix), base.resolve(), f"{sys.version_info[0]}.{sys.version_info[1]}")
        ask = (
            "import os, sys; "
            "print(sys.base_prefix, os.path.realpath(sys._base_executable), '%d.%d' % sys.version_info[:2], sep='\\n')"
        )
        done = subprocess.run([path, "-I", "-S", "-c", ask], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SandboxError(f"{path} is not a Python interpreter that runs")
        prefix, executable, version = done.stdout.splitlines()
        return cls(Path(prefix), Path(executable), version)
