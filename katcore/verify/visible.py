"""Text as it reads: what shows nothing is gone, what looks like a Latin letter inside a Latin word is one.

In: text that an attempt wrote. Out: the text that rules and judges look at, so that neither a character without width
nor a letter borrowed from another alphabet hides a word from the one and shows it to the other. Compatibility forms
become plain ones (NFKC). Words of other alphabets stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

UNSEEN = re.compile(
    "[\\x00-\\x08\\x0e-\\x1b\\x7f-\\x84\\x86-\\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Matches what takes no place on a page: Unicode's Default_Ignorable_Code_Point, annotation marks, controls that are no
white space, halves of surrogate pairs."""
_BLANK = str.maketrans({"\u2800": " ", "\u2028": "\n", "\u2029": "\n"})
"""Characters that look like white space of another kind."""
_WORD = re.compile(r"[^\W\d_]+")
_MARKED = re.compile("(?<=[a-zA-Z])[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")
"""Marks over letters that have no such form of their own: lines through words, mostly."""

_LOOKS = {
    "a": "аαɑ", "b": "ьƅ", "c": "сϲ", "d": "ԁժ", "e": "еҽε", "f": "ք", "g": "ɡցց", "h": "һհ", "i": "іιıɩ", "j": "јյ",
    "k": "кκ", "l": "ӏ", "m": "м", "n": "ոη", "o": "оοօ", "p": "рρ", "q": "ԛզ", "r": "г", "s": "ѕ", "t": "тτ",
    "u": "սυ", "v": "ѵν", "w": "ԝω", "x": "хχ", "y": "уγү", "z": "ᴢ",
    "A": "АΑᎪ", "B": "ВΒᏴ", "C": "СϹᏟ", "D": "Ꭰ", "E": "ЕΕᎬ", "F": "Ϝ", "G": "ԌᏀ", "H": "НΗᎻ", "I": "ІΙӀ", "J": "ЈᎫ",
    "K": "КΚᏦ", "L": "Ꮮ", "M": "МΜᎷ", "N": "Ν", "O": "ОΟՕ", "P": "РΡᏢ", "Q": "Ԛ", "R": "Ꭱ", "S": "ЅՏᏚ", "T": "ТΤᎢ",
    "U": "Ս", "V": "ѴᏙ", "W": "ԜᎳ", "X": "ХΧ", "Y": "УΥҮ", "Z": "ΖᏃ",
}  # fmt: skip
"""For each Latin letter those of Cyrillic, Greek, Armenian and Cherokee that look like it (after Unicode's UTS #39)."""
_LATIN = {ord(look): letter for letter, looks in _LOOKS.items() for look in looks}
_SMALL = {ord(look): letter for look, letter in zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz")}
_RINGED = {start + at: chr(65 + at) for start in (0x1F150, 0x1F170) for at in range(26)}
_STYLED = _SMALL | _RINGED
"""Latin letters of other shapes that NFKC leaves as they are: small capitals, letters in black discs and squares."""


@lru_cache(16)
def visible(text: str) -> str:
    """The text as it reads. The same again for what this returned."""
    text = UNSEEN.sub("", unicodedata.normalize("NFKC", UNSEEN.sub("", text))).translate(_BLANK)
    if text.isascii():
        return text
    text = _MARKED.sub("", text.translate(_STYLED))
    latin = sum("a" <= char <= "z" or "A" <= char <= "Z" for char in text)
    mostly = 2 * latin > sum(map(str.isalpha, text))
    return _WORD.sub(lambda found: _unmixed(found.group(), mostly), text)


def hidden(text: str) -> int:
    """How many characters of a text show nothing."""
    return len(UNSEEN.findall(text))


def _unmixed(word: str, among_latin: bool) -> str:
    """The word in Latin letters, if some of its letters are and the rest look so, or all do `among_latin` words."""
    if word.isascii():
        return word
    read = word.translate(_LATIN)
    mixed = any(char.isascii() for char in word)
    return read if mixed or (among_latin and read.isascii()) else word
