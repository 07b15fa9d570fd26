"""Tasks whose environment is a Dockerfile with their image built, while they are read.

In: work items of `katcore.dataset`. Out: their lines with `environment.image`, and `source` as the image's working
folder: what its programs made there is part of what an agent finds. A Dockerfile that cannot be built is a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from katcore.dataset import files
from katcore.dataset.formats import row_of
from katcore.errors import RecordError, SandboxError
from katcore.pool import Item
from katcore.records import Json, Task, TaskSource
from katcore.sandbox.docker import exported
from katcore.streams import Line, splice

CONTEXT = "environment/"
"""The folder in which Harbor's tasks keep the files beside their Dockerfile."""


@dataclass(frozen=True)
class Built:
    """Makes the lines of tasks of the format `name` with `read`, and builds their images."""

    read: Callable[[Item], Iterable[bytes]]
    name: str

    def __call__(self, item: Item) -> Iterator[bytes]:
        """The lines of one item."""
        for line in self.read(item):
            task = msgspec.json.decode(line, type=Task)
            yield self._built(task, line) if task.environment.dockerfile and not task.environment.image else line

    def _built(self, task: Task, line: bytes) -> bytes:
        place = task.environment
        context = _context(row_of(self.name, Line(task, line, 0, "")))
        try:
            place.image = exported.engine().build(place.dockerfile or "", context)
        except SandboxError as error:
            raise RecordError("image", str(error)) from error
        return splice(line, environment=place, source=TaskSource(kind="image", url=place.image, ref=place.workdir))


def _context(row: Mapping[str, Json]) -> dict[str, tuple[bytes, int]]:
    found = {name.removeprefix(CONTEXT): file for name, file in row.items() if name.startswith(CONTEXT)}
    return {name: (files.content(file), int(file["mode"], 8) & 0o777) for name, file in found.items()}
