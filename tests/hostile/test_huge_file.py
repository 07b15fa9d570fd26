"""A file, or many files, larger than the disk that a box may use."""

from __future__ import annotations

import pytest

from katcore.sandbox import Limits
from tests.support.sandbox_cases import Make, said

pytestmark = pytest.mark.slow


def test_huge_file(make: Make) -> None:
    box = make(limits=Limits(file_mib=8))
    assert box.exec("dd if=/dev/zero of=big bs=1M count=10000").code == 153
    assert said(box.exec("stat -c %s big")) == str(8 << 20)
    wide = make(limits=Limits(file_mib=64))
    assert wide.exec("dd if=/dev/zero of=big bs=1M count=20 2>/dev/null").code == 0, "it works where the limit is wide"


def test_huge_files(make: Make) -> None:
    """Each within the limit of a file, together beyond that of the box."""
    box = make(limits=Limits(file_mib=8, disk_mib=40))
    fill = "for n in $(seq 1000); do head -c 4000000 /dev/zero >/tmp/$n; [ $n -lt 20 ] || sleep 0.1; done"
    done = box.exec(fill, timeout_s=30)
    assert (done.code, done.limit, done.timed_out) == (153, "disk", False) and done.seconds < 20
    assert said(box.exec("rm /tmp/*[0-9]; echo still here")) == "still here"
