"""Files of weights, looked at without loading them: is every one whole?

In: a folder. Out: an InputError that names the file, and the tensor in the middle of which it ends. No torch here: a
client of an engine looks before it asks for a folder to be loaded.
"""

from __future__ import annotations

import json
from pathlib import Path

from katcore.errors import InputError


def check_files(folder: str | Path) -> None:
    """InputError for weights in safetensors that are cut short or damaged, naming the file and where one is cut."""
    for file in sorted(Path(folder).glob("*.safetensors")):
        with file.open("rb") as opened:
            length, size = int.from_bytes(opened.read(8), "little"), file.stat().st_size
            try:
                table = json.loads(opened.read(min(length, size)))
                ends = {name: part["data_offsets"][1] for name, part in table.items() if name != "__metadata__"}
                end = max(ends.values(), default=0)
            except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                raise InputError(f"{file}: not in safetensors format, or cut short") from None
        if size != 8 + length + end:
            cut = min((name for name in ends if 8 + length + ends[name] > size), key=ends.__getitem__, default="")
            where = f", in the middle of {cut}" if cut else ""
            raise InputError(f"{file}: cut short{where}: {size} bytes of {8 + length + end}")
