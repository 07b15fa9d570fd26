"""Small tasks whose repository travels in the record."""

from __future__ import annotations

import base64
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from katcore.environment.built import environment_digest, this_base, this_platform
from katcore.records import Environment, Task, TaskSource, TestFile, Verification

Files = Mapping[str, bytes | None]
BASE: dict[str, bytes] = {
    "calc.py": b"def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n",
    "README.md": b"# calc\n",
    ".gitignore": b"*.log\nbuild/\n",
    "tool.sh": b"#!/bin/sh\necho tool\n",
}
GOLD: dict[str, bytes | None] = {
    "calc.py": b"def add(a, b):\n    return a + b  # gold-marker-7391\n\n\ndef sub(a, b):\n    return a - b\n",
    "README.md": None,
    "logo.bin": bytes(range(256)),
    "pkg/new.py": b"VALUE = 'gold-marker-7391'\n",
}


def archive(files: Mapping[str, bytes]) -> str:
    """A data URL of the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(info, io.BytesIO(data))
    return "data:application/gzip;base64," + base64.b64encode(buffer.getvalue()).decode()


def gold_patch(base: Mapping[str, bytes], new: Files) -> str:
    """The diff from `base` to it with `new` written over it."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*git, "init", "-q"], cwd=folder, check=True)
        _write(Path(folder), base)
        subprocess.run([*git, "add", "-A", "-f"], cwd=folder, check=True)
        subprocess.run([*git, "commit", "-qm", "base"], cwd=folder, check=True)
        _write(Path(folder), new)
        subprocess.run([*git, "add", "-A", "-f"], cwd=folder, check=True)
        flags = ["diff", "--cached", "--binary", "--full-index", "--no-renames"]
        return subprocess.run([*git, *flags], cwd=folder, check=True, capture_output=True).stdout.decode()


def _write(folder: Path, files: Files) -> None:
    for name, data in files.items():
        if data is None:
            (folder / name).unlink()
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o755 if name.endswith(".sh") else 0o644)


def task(name: str = "calc-1", base: Mapping[str, bytes] | None = None, gold: Files | None = None) -> Task:
    """A task with a gold patch and a hidden test."""
    files = dict(BASE if base is None else base)
    where = (this_base(), this_platform())
    return Task(
        instance_id=name,
        repo="calc",
        base_commit="0" * 40,
        created_at="2024-01-01T00:00:00Z",
        problem_statement="add() subtracts.",
        source=TaskSource(kind="inline", url=archive(files)),
        environment=Environment(base=where[0], platform=where[1], digest=environment_digest(*where, [])),
        verification=Verification(FAIL_TO_PASS=["test_hidden_5120.py::test_add"]),
        patch=gold_patch(files, GOLD if gold is None else gold),
        test_files={"test_hidden_5120.py": TestFile(text="def test_add(): assert 'hidden-marker-5120'\n")},
    )
