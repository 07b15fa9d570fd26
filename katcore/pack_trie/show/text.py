"""Text in the drawing of a trie: escaped, cut to a width, on one line.

What agents wrote is hostile: nothing of it may close an element, hide, turn the line around or break the XML.
"""

from __future__ import annotations

import unicodedata


def escape(text: str) -> str:
    """Any text as character data or an attribute's value: one line, no control, format, private or lone characters."""
    kept = "".join(" " if c.isspace() else "\N{REPLACEMENT CHARACTER}" if _unprintable(c) else c for c in text)
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _unprintable(char: str) -> bool:
    return unicodedata.category(char)[0] == "C"  # direction overrides and lone surrogates are among them


def columns(text: str) -> int:
    """How many columns the text takes in a fixed-width font."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def one_line(text: str) -> str:
    """The text with every run of white space replaced by a single space."""
    return " ".join(text.split())


def cut(text: str, most: int) -> str:
    """The text on one line, in at most so many columns; what is left out shows as an ellipsis."""
    text = one_line(text)
    if columns(text) <= most:
        return text
    text = text[: max(most, 0)]
    while text and columns(text) > most - 1:
        text = text[:-1]
    return text.rstrip() + "…" if text else ""


def number(value: float) -> str:
    """A coordinate in pixels as text, to a tenth."""
    return f"{round(value, 1) + 0.0:g}"


def signed(value: float) -> str:
    """A weight as text with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def label(x: float, y: float, text: str, kind: str = "") -> str:
    """A text element; `kind` are its classes."""
    classes = f' class="{kind}"' if kind else ""
    return f'<text x="{number(x)}" y="{number(y)}"{classes}>{escape(text)}</text>'
