"""What a dataset's test patch makes of a base, as files; a patch about files elsewhere makes nothing."""

from __future__ import annotations

import base64
import io
import tarfile

import pytest

from katcore.errors import RecordError
from katcore.records import Task, TaskSource, TestFile
from katcore.source.diff import write_diff
from katcore.testrun.test_files import with_test_files


def task(test_patch: str) -> Task:
    """A task whose repository has `tests/a.py` and a link that leads out of it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        file, link = tarfile.TarInfo("tests/a.py"), tarfile.TarInfo("away")
        file.size, file.mode = 4, 0o755
        link.type, link.linkname = tarfile.SYMTYPE, "tests"
        archive.addfile(file, io.BytesIO(b"one\n"))
        archive.addfile(link)
    url = "data:application/x-tar;base64," + base64.b64encode(data.getvalue()).decode()
    return Task(
        instance_id="t", repo="r", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z", problem_statement="p",
        source=TaskSource(kind="inline", url=url), test_patch=test_patch,
    )  # fmt: skip


def test_the_files_as_the_patch_leaves_them(cache: object) -> None:
    patch = write_diff("tests/a.py", "one\n", "two\n") + write_diff("tests/b.py", None, "new\n")
    assert with_test_files(task(patch)).test_files == {
        "tests/a.py": TestFile(text="two\n", mode="100755"), "tests/b.py": TestFile(text="new\n"),
    }  # fmt: skip
    gone = with_test_files(task(write_diff("tests/a.py", "one\n", None)))
    assert gone.test_files == {"tests/a.py": TestFile()}


@pytest.mark.parametrize("name", ["/etc/hostname", "//etc/hostname", "../x", "a/../../x", "away/a.py"])
def test_a_patch_about_files_elsewhere_is_refused(cache: object, name: str) -> None:
    with pytest.raises(RecordError, match="does not apply"):
        with_test_files(task(write_diff(name, "one\n", "two\n")))
