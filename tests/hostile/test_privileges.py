"""Device nodes, mounts, ptrace, namespaces, set-user-id programs, the kernel's other doors."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from katcore.sandbox import PYTHON
from tests.support.sandbox_cases import Make, said

CALLS = """
import ctypes, errno, os, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == 'x86_64'
def call(name, number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number[0] if x86 else number[1], *arguments)
    print(name, 'worked' if result >= 0 else errno.errorcode[ctypes.get_errno()], flush=True)
call('unshare user', (272, 97), 0x10000000)
call('unshare mount', (272, 97), 0x00020000)
call('clone user', (56, 220), 0x10000011, 0, 0, 0, 0)
call('clone3', (435, 435), 0, 0)
call('setns', (308, 268), 0, 0)
call('mount', (165, 40), b'none', b'/tmp', b'tmpfs', 0, 0)
call('ptrace', (101, 117), 0, 0, 0, 0)
call('bpf', (321, 280), 0, 0, 0)
call('userfaultfd', (323, 282), 0)
call('io_uring', (425, 425), 1, ctypes.create_string_buffer(200))
call('keyctl', (250, 219), 0, -3, 1)
call('perf', (298, 241), ctypes.create_string_buffer(200), 0, -1, -1, 0)
"""

pytestmark = pytest.mark.slow


def test_system_calls(make: Make) -> None:
    inside = dict(line.rsplit(" ", 1) for line in said(make().exec([PYTHON, "-c", CALLS])).splitlines())
    assert len(inside) == 12
    assert {name: code for name, code in inside.items() if code not in ("EPERM", "ENOSYS")} == {}
    outside = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True).stdout
    assert "ptrace worked" in outside, "the attack works outside"


def test_device_nodes_and_mounts(make: Make) -> None:
    box = make()
    for command in (
        "mknod /tmp/disk b 8 0", "mknod /tmp/mem c 1 1", "mount -t tmpfs none /tmp", "umount /proc", "chroot / true",
        "unshare -Ur true", "nsenter -t 1 -m true", "cat /dev/mem", "cat /dev/sda", "cat /dev/vda", "cat /dev/kmsg",
        ": >>/proc/sys/kernel/panic", ": >>/proc/sysrq-trigger", "cat /proc/kcore",
    ):  # fmt: skip
        assert box.exec(command).code != 0, command
    if os.getuid() == 0:
        assert subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]).returncode == 0, "outside"


def test_set_user_id(make: Make) -> None:
    box = make()
    assert box.exec("cp /usr/bin/id /tmp/id; chmod u+s /tmp/id; /tmp/id -u").stdout == b"65534\n"
    status = dict(
        line.split(":\t", 1) for line in said(box.exec(["cat", "/proc/self/status"])).splitlines() if ":\t" in line
    )
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and status["CapBnd"].strip("0") == ""


def test_the_first_process_cannot_be_touched(make: Make) -> None:
    """What ends a box's processes is not at their mercy."""
    box = make()
    attack = "kill -9 1; kill -TERM 1; cat /proc/1/mem; cat /proc/1/environ; echo k >/proc/1/fd/0; ls /proc/1/fd"
    assert box.exec(f"{attack}; true").code == 0
    assert said(box.exec("echo still here")) == "still here"
