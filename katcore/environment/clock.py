"""A task's own clock: its boxes see the time that the task names when they start, and it runs on at normal speed.

In: `Environment.env["KAT_CLOCK"]`, RFC 3339. Out: a folder to mount and the variables of every process of a box. The
clock is a small library (`clock.c`), compiled once per machine and preloaded: wall clock and times of new files are
moved, durations and time-outs are not. Programs without a libc (static ones, most of Go's) and those that are started
with an empty environment see the machine's time. A box in which the clock does not work raises SandboxError.
"""

from __future__ import annotations

import importlib.resources
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakKeyDictionary

from katcore.disk.cache import cache_dir, digest_of, fresh, locked, publish
from katcore.errors import RecordError, SandboxError, UsageError
from katcore.records import Environment
from katcore.sandbox import Box, Mount, Result

CLOCK = "KAT_CLOCK"
"""The variable of `Environment.env` with the time that a task's boxes start at; absent: the machine's."""
FOLDER = "/opt/kat-clock"
LIBRARY = "clock.so"
FIRST_YEAR = 1990
"""The earliest year of a clock: the library tells wall-clock deadlines from those on an uptime by their size."""
SLOW_S = 120
"""Seconds after which a box that has not started two processes fails."""

_FLAGS = ("-O2", "-shared", "-fPIC", "-ffreestanding", "-fno-stack-protector", "-nostdlib")
# The box's own time, then the same through the clock: an engine on another machine may have another time.
_START = """
began=$(date +%s) && echo "$began" || exit 1
LD_PRELOAD="$1" KAT_CLOCK_SHOWN="$2" KAT_CLOCK_BEGAN="$began" exec date +%s
"""
_started: WeakKeyDictionary[Box, dict[str, str]] = WeakKeyDictionary()


def chosen(option: str, created_at: str) -> str:
    """The clock that `--clock` means for a change: empty, or RFC 3339 in UTC. RecordError for a change without date."""
    if option == "none":
        return ""
    try:
        return _written(_read(created_at if option == "change" else option))
    except ValueError as error:
        if option == "change":
            raise RecordError("clock", f"the change's date is none to start a clock at: {error}") from error
        said = f"--clock takes none, change or a time such as 2021-03-04T05:06:07Z: {error}"
        raise UsageError(said) from error


def mounts(environment: Environment) -> tuple[Mount, ...]:
    """The mount of the folder with the library; none where the environment names no clock."""
    return (Mount(library().parent, FOLDER),) if CLOCK in environment.env else ()


def variables(box: Box, environment: Environment) -> dict[str, str]:
    """The variables with which a box's processes see the task's clock, which starts at the first call for a box."""
    named = environment.env.get(CLOCK)
    if named is None:
        return {}
    if box not in _started:
        _started[box] = _start(box, named)
    own = environment.env.get("LD_PRELOAD", "")
    return _started[box] | {"LD_PRELOAD": f"{FOLDER}/{LIBRARY}{':' if own else ''}{own}"}


def library() -> Path:
    """The compiled library, in a folder of its own, from the cache or made. SandboxError without a compiler."""
    source = importlib.resources.files("katcore.environment").joinpath("clock.c").read_bytes()
    final = cache_dir("clock") / digest_of("clock/1", platform.machine(), *_FLAGS, source)
    if not final.is_dir():
        with locked(final), fresh("clock") as made:
            if not final.is_dir():
                _compile(source, made / LIBRARY)
                publish(made, final)
    return final / LIBRARY


def _compile(source: bytes, target: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SandboxError("a task with a clock needs a C compiler on this machine", hint="apt-get install gcc")
    command = [compiler, *_FLAGS, "-o", str(target), "-x", "c", "-"]
    done = subprocess.run(command, input=source, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise SandboxError(f"the clock cannot be compiled on this machine: {said}")
    target.chmod(0o755)


def _start(box: Box, named: str) -> dict[str, str]:
    try:
        shown = int(_read(named).timestamp())
    except ValueError as error:
        raise RecordError("environment", f"{CLOCK} is no time to start a clock at: {error}") from error
    argv = ["/bin/sh", "-c", _START, "sh", f"{FOLDER}/{LIBRARY}", str(shown)]
    done = box.exec(argv, cwd="/", env={"PATH": "/usr/bin:/bin"}, timeout_s=SLOW_S)
    times = done.stdout.decode("utf-8", "replace").split()
    if done.code != 0 or len(times) != 2 or not shown <= int(times[1]) <= shown + SLOW_S:
        raise SandboxError(f"the task's clock does not work in this box: {_said(done)}")
    return {"KAT_CLOCK_SHOWN": str(shown), "KAT_CLOCK_BEGAN": times[0]}


def _said(done: Result) -> str:
    words = (done.stderr or done.stdout).decode("utf-8", "replace").split()
    return " ".join(words)[-200:] or f"date ended with {done.code}"


def _read(text: str) -> datetime:
    """The time in a text of RFC 3339, in UTC. ValueError where it is none."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} does not say its offset from UTC")
    if found.year < FIRST_YEAR:
        raise ValueError(f"{text!r} is before {FIRST_YEAR}")
    return found.astimezone(UTC)


def _written(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
