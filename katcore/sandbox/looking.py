"""What lies at paths of a box, asked of its own interpreter: for boxes whose files this machine does not see.

In: a box and paths below its workdir. Out: their types, permissions and links, by path.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from katcore.disk.in_box import program
from katcore.errors import SandboxError
from katcore.sandbox import PYTHON, Box, Seen

CHUNK = 1000


def seen_inside(box: Box, names: Sequence[str]) -> dict[str, Seen]:
    """`Box.seen` by a program in the box. SandboxError when it fails."""
    found: dict[str, Seen] = {}
    for start in range(0, len(names), CHUNK):
        asked = json.dumps(names[start : start + CHUNK]).encode()
        done = box.exec([PYTHON, "-I", "-c", program("katcore.sandbox", "seen")], stdin=asked, timeout_s=60)
        if done.code != 0:
            raise SandboxError(f"the box's files cannot be read: {done.stderr[-300:].decode('utf-8', 'replace')}")
        found |= {name: Seen(*entry) for name, entry in json.loads(done.stdout).items()}
    return found
