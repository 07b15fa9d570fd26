"""Files whose size has no end and which take no disk, for whoever reads what a box changed; names that are no text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from katcore.environment.workspace import workspace
from katcore.records import Task
from katcore.rollout.patch import diff, read_changes
from katcore.sandbox import PYTHON
from katcore.sandbox.docker import files
from tests.support.sandbox_cases import Make, said

pytestmark = pytest.mark.slow

HOLES = (
    "for n in 1 2 3 4; do truncate -s 4000M hole$n; done; truncate -s 100M setup.cfg; echo x >new.txt; stat -c %b hole1"
)


def test_endless_files(make: Make, task: Task) -> None:
    base = workspace(task.source)
    box = make(repo=base)
    assert said(box.exec(HOLES)) == "0", "they cost nothing"
    started = time.monotonic()
    assert box.changed() == ["hole1", "hole2", "hole3", "hole4", "new.txt", "setup.cfg"]
    changes = read_changes(box, base)
    assert time.monotonic() - started < 30, "16 GB are not read"
    assert (list(changes.files), len(changes.left_out)) == (["new.txt"], 5)
    assert "+x" in diff(base, changes)


def test_names_that_are_no_text(make: Make, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    box = make(repo=tmp_path)
    box.exec([PYTHON, "-c", "import os\nos.mkdir(b'\\xff')\nopen(b'\\xff/conftest.py', 'w').write('x')"])
    assert box.changed() == ["\udcff/conftest.py"]


@pytest.mark.parametrize("kind", ["docker"])
def test_what_is_read_out_of_a_container_has_an_end(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it all of a file is written to this machine's disk."""
    tmp_path.chmod(0o755)
    box = make(repo=tmp_path)
    box.exec("truncate -s 300M hole")
    with pytest.raises(files.Unreadable):
        files.changed(box._client, box.container, "/testbed", tmp_path)  # type: ignore[attr-defined]
    monkeypatch.setattr(files, "MOST", 1 << 40)
    assert files.changed(box._client, box.container, "/testbed", tmp_path) == ["hole"]  # type: ignore[attr-defined]
