"""Replace top-level fields of a JSON object without touching the others, known or unknown."""

from __future__ import annotations

from typing import Any

import msgspec

_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw])


def splice(raw: bytes, **fields: Any) -> bytes:
    """The object `raw` with these top-level fields replaced or added; the bytes of every other value stay as they are.

    Values are anything that msgspec encodes: records, structs, plain JSON.
    """
    members: dict[str, Any] = dict(_shallow.decode(raw))
    return msgspec.json.encode(members | fields)
