"""Containers on their way up, written down, so that none stays of a runner that is killed before it is up.

A container that is up ends with its runner (`in_box/supervisor.py`); one that is made and not started has no process
that could. In: the name of a container that is about to be made, then its id. Out: files in the runner's folder for
boxes, until it is up or gone. The runner's reaper (`reaper_process.py`) runs this module for what it finds there.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from katcore.errors import SandboxError
from katcore.sandbox import owner
from katcore.sandbox.docker.engine_api import api_errors, connect
from katcore.sandbox.reaper_process import MADE, STARTING

_LAST_S = 60.0
"""Seconds after a runner's end in which the engine may still make a container that it was asked for before."""
_PAUSE_S = 0.2
_ID = re.compile("[0-9a-f]{64}")


@contextmanager
def written_down(name: str) -> Iterator[Callable[[str], object]]:
    """A context in which a container of that name is made and comes up, or is removed; it is told the id."""
    places = [owner.owned() / folder for folder in (STARTING, MADE)]
    for place in places:
        place.mkdir(exist_ok=True)
    note, made = (place / name for place in places)
    engine = {key: value for key, value in os.environ.items() if key.startswith("DOCKER_") or key == "HOME"}
    note.write_text(json.dumps(engine))
    try:
        yield made.write_text
    finally:
        note.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def remove(names: list[str]) -> None:
    """Remove these containers: what has an id was there, of a name it may only now be made."""
    from docker.errors import APIError, NotFound

    client = connect()
    left = set(names)
    deadline = time.monotonic() + _LAST_S
    while left and time.monotonic() < deadline:
        for name in sorted(left):
            try:
                client.remove_container(name, force=True, v=True)
                left.discard(name)
            except NotFound:
                left -= {name} if _ID.fullmatch(name) else set()  # of a name: not there yet
            except APIError:  # the engine is removing it by itself
                continue
        time.sleep(_PAUSE_S if left else 0)


if __name__ == "__main__":
    with suppress(SandboxError), api_errors("what was being started cannot be removed"):
        remove(sys.argv[1:])
