"""Stop strings of the embedded engine: texts that end a completion wherever their characters fall between tokens.

In: the ids sampled so far. Out: the text that has just been completed. The ids stay whole: the last one is the one
that completed the text, and may go beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from katcore.model.folder import ChatModel

_PARTIAL = 4
"""A character is at most four bytes, and so at most four tokens: the cut must not fall into the text's first one."""


@dataclass(frozen=True)
class StopStrings:
    """Looks for texts at the end of a completion; call it after every token."""

    chat: ChatModel
    texts: tuple[str, ...]

    def found(self, output: Sequence[int]) -> str:
        """The text that ends first, or nothing. A token stands for one byte at least, so the last few ids decide."""
        longest = max(len(text.encode()) for text in self.texts)
        tail = self.chat.decode(output[-(longest + _PARTIAL) :])
        ends = [(tail.find(text) + len(text), text) for text in self.texts if text in tail]
        return min(ends)[1] if ends else ""
