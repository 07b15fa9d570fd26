"""Content that is more than text, in the one form between the dialects: text parts and `image_url` parts of OpenAI's.

What no model of any kind could be shown (a type that nobody here knows, audio, a file) becomes a placeholder with its
type: one unknown block never ends a session. Images stay images, for endpoints that see; a model that reads tokens is
shown a placeholder for them too (`prepared.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from katcore.records import Json

Content = str | list[Json]
Part = str | Json
"""A piece of content: text, or an image part."""


def placeholder(kind: Any, text: str = "") -> str:
    """What stands for a block of a type that cannot be shown, with the text that it has, if any."""
    shown = f"[{kind if isinstance(kind, str) and kind else 'unknown'}]"
    return f"{shown} {text}" if text else shown


def image(url: Any, kind: str) -> Part:
    """An image part; a placeholder where there is no address (an id of a store that is somebody else's)."""
    return {"type": "image_url", "image_url": {"url": url}} if isinstance(url, str) and url else placeholder(kind)


def joined(parts: Iterable[Part], between: str = "") -> Content:
    """The parts as one text, or as a list where one is an image; `between` stands between neighbours of text."""
    found: list[Json] = []
    for part in parts:
        if isinstance(part, str) and found and found[-1]["type"] == "text":
            found[-1] = {"type": "text", "text": f"{found[-1]['text']}{between}{part}"}
        else:
            found.append({"type": "text", "text": part} if isinstance(part, str) else part)
    if not found:
        return ""
    return str(found[0]["text"]) if len(found) == 1 and found[0]["type"] == "text" else found
