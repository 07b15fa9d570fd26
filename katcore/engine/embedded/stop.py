"""Stop strings of the embedded engine: texts that end a completion wherever their characters fall between tokens.

In: the ids sampled so far. Out: the text that has just been completed. The ids stay whole: the last one is the one
that completed the text, and may go beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from katcore.model.folder import ChatModel

_PARTIAL = 4
"""Tokens decoded beyond a stop text's length: a character is up to four tokens, and its first must not be cut."""


@dataclass(frozen=True)
class StopStrings:
    """Looks for texts at the end of a completion; call it after every token."""

    chat: ChatModel
    texts: tuple[str, ...]

    def found(self, output: Sequence[int]) -> str:
        """The stop text that ends first in the last ids, else empty; a token is at least a byte, so few ids decide."""
        longest = max(len(text.encode()) for text in self.texts)
        tail = self.chat.decode(output[-(longest + _PARTIAL) :])
        ends = [(tail.find(text) + len(text), text) for text in self.texts if text in tail]
        return min(ends)[1] if ends else ""
