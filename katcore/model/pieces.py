"""Ids of ASCII text, piece by piece, as byte-level BPE tokenizers make them, with the ids of each piece remembered.

In: a tokenizer of the `tokenizers` library. Out: the ids that its own `encode` gives, in a fifth of the time: most of
that goes into the library's regular expressions, and pieces (words, numbers, signs) come again and again. Only
tokenizers whose every part is known to mean the same here are taken: BPE over bytes, split by patterns of letters,
digits, spaces and line ends, added tokens that take no spaces with them. ASCII alone, since what is a letter beyond it
depends on the version of Unicode. For everything else the library is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

KEPT, LONGEST = 1 << 16, 64
"""So many pieces are remembered, none longer than LONGEST characters."""
_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""The pattern that `ByteLevel` splits by where it has `use_regex`."""
_CLASSES = {
    **{r"\p{L}": "A-Za-z", r"\p{Lu}": "A-Z", r"\p{Ll}": "a-z", r"\p{N}": "0-9", r"\p{Nd}": "0-9"},
    **{rf"\p{{{name}}}": "" for name in ("M", "Mn", "Lt", "Lm", "Lo", "Han")},
}
"""What Unicode's classes are within ASCII."""
_KNOWN = re.compile(
    r"\\[srnSAt]|\(\?i?:|\(\?!|\[\^?[^\[\]\\]*(?:\\[srnt/][^\[\]\\]*)*\]|[)|?*+ ']|\{\d*,?\d*\}|[A-Za-z0-9]"
)
"""The parts of patterns that mean the same to Python's `re`, in ASCII, as to the library."""
_OTHERWISE = re.compile(r"\}[+?]|&&|\|\||--|~~")
"""Of these the parts that do not: `{1,3}+` is no possessive to the library, and `&&` in brackets an intersection."""
_OPENING = re.compile(r"\\A\(\?:[^()]*\)[^|()]*")
"""A pattern that fits nowhere but at a text's beginning."""


class Pieces:
    """The pieces of one tokenizer's ASCII text."""

    def __init__(self, backend: Any, patterns: list[re.Pattern[str]], added: list[dict[str, int]]) -> None:
        self._patterns = patterns
        self._added = [(_any_of(tokens), tokens) for tokens in added if tokens]
        self._ids = _Known(backend.model)
        self._short: dict[str, tuple[int, ...]] = {}  # the lines that templates write around what is said

    def encode(self, text: str) -> list[int] | None:
        """Ids of `text`, special tokens in it as their single ids; None where only the library can tell."""
        if not text.isascii():
            return None
        found: list[int] = []
        for piece in self._parted(text, 0):
            if isinstance(piece, int):
                found.append(piece)
            else:
                found += self._short.get(piece) or self._of(piece)
        return found

    def _of(self, text: str) -> tuple[int, ...]:
        """Ids of text without added tokens."""
        ids = tuple(chain.from_iterable(map(self._ids.__getitem__, self._split(text))))
        if len(text) <= LONGEST and len(self._short) < KEPT:
            self._short[text] = ids
        return ids

    def _parted(self, text: str, stage: int) -> Iterator[str | int]:
        """The text between added tokens, and their ids."""
        if stage == len(self._added):
            yield text
            return
        pattern, tokens = self._added[stage]
        at = 0
        for match in pattern.finditer(text):
            if match.start() > at:
                yield from self._parted(text[at : match.start()], stage + 1)
            yield tokens[match[0]]
            at = match.end()
        if at < len(text):
            yield from self._parted(text[at:], stage + 1)

    def _split(self, text: str) -> list[str]:
        pieces = [text]
        for pattern in self._patterns:
            pieces = [part for piece in pieces for part in _isolated(pattern, piece)]
        return pieces


class _Known(dict[str, tuple[int, ...]]):
    """Ids by piece; asks the model for those that are not there."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, piece: str) -> tuple[int, ...]:
        ids = tuple(token.id for token in self._model.tokenize(piece.translate(_BYTES)))  # no work for the collector
        if len(piece) <= LONGEST and len(self) < KEPT:
            self[piece] = ids
        return ids


def pieces_of(backend: Any) -> Pieces | None:
    """The pieces of a tokenizer; None for one of another kind."""
    made = json.loads(backend.to_str())
    model, normalizer = made["model"], made.get("normalizer")
    plain = model.get("type") == "BPE" and not any(
        model.get(name)
        for name in (
            "dropout",
            "unk_token",
            "continuing_subword_prefix",
            "end_of_word_suffix",
            "fuse_unk",
            "byte_fallback",
        )
    )
    if not plain or (normalizer is not None and normalizer.get("type") != "NFC"):
        return None
    patterns = _patterns(made.get("pre_tokenizer"))
    added = _added(backend.get_added_tokens_decoder())
    if patterns is None or added is None or not all(letter in model["vocab"] for letter in _BYTES.values()):
        return None
    return Pieces(backend, patterns, added)


def _patterns(given: Any) -> list[re.Pattern[str]] | None:
    """What text is split by, one pattern after the other; None where one of them is not known to mean the same here."""
    steps = (given.get("pretokenizers") if given.get("type") == "Sequence" else [given]) if given else []
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return None
    found = [_pattern(_GPT2)] if steps[-1].get("use_regex", True) else []
    for step in reversed(steps[:-1]):
        isolated = step.get("type") == "Split" and step.get("behavior") == "Isolated" and not step.get("invert")
        regex = step["pattern"].get("Regex") if isolated else None
        found.insert(0, _pattern(regex) if regex else None)
    return None if None in found else found  # type: ignore[return-value]


def _pattern(regex: str) -> re.Pattern[str] | None:
    """A pattern of the library's as Python's, for ASCII text; None where it has parts that are not known."""
    inside = re.sub(
        r"(?<!\\)\[(?:\\.|[^\]\\])*\]", lambda match: _filled(match[0], ""), regex
    )  # first within brackets, then each class that stands alone
    text = _filled(inside, "[]")
    if "[]" in text or "[^]" in text or _OTHERWISE.search(text) or not re.fullmatch(f"(?:{_KNOWN.pattern})*", text):
        return None
    try:
        made = re.compile(text, re.ASCII)
    except re.error:
        return None
    return None if made.fullmatch("") else made  # what fits nothing at all parts text between any two letters


def _filled(text: str, around: str) -> str:
    for name, letters in _CLASSES.items():
        text = text.replace(name, f"{around[:1]}{letters}{around[1:]}")
    return text


def _added(tokens: dict[int, Any]) -> list[dict[str, int]] | None:
    """Added tokens with their ids, in the two groups in which text is looked through for them; None for other kinds."""
    groups: list[dict[str, int]] = [{}, {}]
    for number, token in tokens.items():
        if token.lstrip or token.rstrip or token.single_word or (token.normalized and not token.content.isascii()):
            return None
        if token.content.isascii() and token.content:
            groups[bool(token.normalized)][token.content] = number
    return groups


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(each) for each in sorted(tokens, key=len, reverse=True)))


def _isolated(pattern: re.Pattern[str], text: str) -> list[str]:
    """The matches of a pattern and what stands between them."""
    opening = _OPENING.fullmatch(pattern.pattern)
    whole = [] if opening or pattern.groups else pattern.findall(text)
    if whole and len("".join(whole)) == len(text):
        return [piece for piece in whole if piece]
    found: list[str] = []
    at = 0
    for match in filter(None, [pattern.match(text)]) if opening else pattern.finditer(text):
        found += [part for part in (text[at : match.start()], match[0]) if part]
        at = match.end()
    return [*found, text[at:]] if at < len(text) else found


def _letters() -> dict[int, str]:
    """The letter by which byte-level BPE writes each byte of ASCII (after GPT-2's `bytes_to_unicode`)."""
    return {byte: chr(byte if 33 <= byte <= 126 else 256 + byte if byte < 33 else 289) for byte in range(128)}


_BYTES = _letters()
