"""Files as an inline source: a data URL of a tar archive, the same bytes for the same files."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Mapping

from katcore.dataset.files import content
from katcore.records import Json


def archive(found: Mapping[str, Json]) -> str:
    """The URL; without files it is empty, which `katcore.source.checkout` takes as an empty repository."""
    if not found:
        return ""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, file in sorted(found.items()):
            info = tarfile.TarInfo(name)
            if file["mode"] == "120000":
                info.type, info.linkname = tarfile.SYMTYPE, file["text"]
                tar.addfile(info)
                continue
            data = content(file)
            info.size, info.mode = len(data), 0o755 if file["mode"] == "100755" else 0o644
            tar.addfile(info, io.BytesIO(data))
    return "data:application/x-tar;base64," + base64.b64encode(buffer.getvalue()).decode()
