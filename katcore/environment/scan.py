"""Look for the answer in what an agent will see: the known change's lines, or a newer copy of the project itself.

In: a box as an agent gets it, and the change. Out: what was found outside the repository. Read are the files that are
named as a changed one is, patches and backups wherever they lie, and of the places where environments and people put
things every file of the changed ones' kind. A file holds the answer when it has half of the change's telling lines:
those of some length that it adds and nowhere shows as old.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from katcore.disk.in_box import program
from katcore.errors import RecordError
from katcore.records import Json
from katcore.sandbox import ENV, PYTHON, SCAFFOLD, Box
from katcore.source.diff import content, paths

TELLING, ALONE = 16, 40
"""The fewest characters of a line that counts with others as a trace of the answer, and of one that counts alone."""
MOST_LINES = 64
SECONDS = 300.0
PLACES = (ENV, SCAFFOLD, "/home", "/root", "/srv", "/tmp", "/var/tmp", "/usr/local", "/usr/src")


def leaks(box: Box, patch: str, project: str = "", version: str = "") -> list[Json]:
    """Files with the answer (`path`, `lines`, `of`), and the project's releases above `version` (`path`, `version`).

    RecordError when the box cannot be looked through.
    """
    lines = telling(patch)
    changed = [PurePosixPath(path) for path in paths(patch)]
    asked = {
        "lines": lines,
        "least": (len(lines) + 1) // 2,
        "alone": ALONE,
        "names": sorted({path.name for path in changed}),
        "kinds": sorted({path.suffix for path in changed if path.suffix}) or ["\0"],
        "places": PLACES,
        "skip": ["/proc", "/sys", "/dev", box.spec.workdir],
        "project": canonicalize_name(project) if project else "",
    }
    walk = [PYTHON, "-I", "-S", "-c", program("katcore.environment", "scan")]
    done = box.exec(walk, cwd="/", stdin=json.dumps(asked).encode(), timeout_s=SECONDS)
    if done.code != 0:
        raise RecordError("scan", f"looking for the answer ended with {done.code}: {done.stderr[-500:]!r}")
    copies, versions = json.loads(done.stdout)
    newer = [{"path": path, "version": found} for path, found in versions if _newer(found, version)]
    return [{"path": path, "lines": held, "of": len(lines)} for path, held in copies] + newer


def telling(patch: str) -> list[str]:
    """The lines that a change adds, the longest first, without those that say little or that it also shows as old."""
    added, old = set[str](), set[str]()
    for _, line in content(patch):
        (added if line.startswith("+") else old).add(line[1:].strip())
    found = [line for line in added - old if len(line) >= TELLING and not _common(line)]
    return sorted(found, key=lambda line: (-len(line), line))[:MOST_LINES]


def _common(line: str) -> bool:
    """Whether the line is one that many files have, such as an import."""
    opened = line.startswith(("#", "//", "*", "/*", '"""', "import ", "from ", "using ", "package "))
    return opened or " " not in line or not re.search("[A-Za-z]", line)


def _newer(found: str, than: str) -> bool:
    """Whether a release is above another; True where that cannot be told."""
    try:
        return Version(found) > Version(than)
    except InvalidVersion:
        return True
