"""The commands that read and write datasets, as processes, and folders for them to read."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def kat(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def write_folder(folder: Path, found: Mapping[str, str | bytes]) -> Path:
    for name, data in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        (folder / name).chmod(0o755 if name.endswith(".sh") else 0o644)
    return folder
