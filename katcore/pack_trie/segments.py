"""Encode texts that grow: a piece of text between two special tokens is tokenised once.

In: the prompts of one conversation, each mostly the one before it and a little more. Out: for each exactly the ids of
the whole text. A tokenizer cuts a text at its added tokens before it does anything else, so what stands between two of
them has the same ids wherever it stands. Tokenizers whose added tokens take neighbouring white space with them, or are
looked for in normalised text, are given the whole text every time.
"""

from __future__ import annotations

import re
from itertools import chain, pairwise

from katcore.model.tokenizer import Tokenizer


class Segments:
    """An encoder that keeps the ids of segments it has seen; call `forget` after each conversation."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self._cut = _pattern(tokenizer)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, as `Tokenizer.encode` gives them."""
        if self._cut is None:
            return self.tokenizer.encode(text)
        starts = [match.start() for match in self._cut.finditer(text)]
        bounds = [0, *starts, len(text)]
        return list(chain.from_iterable(self._segment(text[a:b]) for a, b in pairwise(bounds) if a < b))

    def forget(self) -> None:
        """Drop all kept ids."""
        self._known.clear()

    def _segment(self, text: str) -> list[int]:
        """The ids of an added token and the text up to the next one; alone, that text would count as a beginning."""
        if text not in self._known:
            self._known[text] = self.tokenizer.encode(text)
        return self._known[text]


def _pattern(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    added = list(tokenizer.backend.get_added_tokens_decoder().values())
    plain = not any(token.lstrip or token.rstrip or token.single_word or token.normalized for token in added)
    if not (added and plain):
        return None
    longest_first = sorted((token.content for token in added), key=lambda content: (-len(content), content))
    return re.compile("|".join(map(re.escape, longest_first)))
