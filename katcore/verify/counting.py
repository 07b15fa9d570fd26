"""Sentences and words as IFEval's authors count them: by NLTK with its Punkt model, else by expressions of our own.

In: a text. Out: how many sentences it has, or its words. `counter()` says which of the two counts here and why. NLTK
comes with the extra `ifeval`; the model is data that NLTK looks for in the folders of NLTK_DATA, and that nothing here
fetches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

_SENTENCE = re.compile(
    r"(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bMrs)(?<!\bvs)(?<!\be\.g)(?<!\bi\.e)(?<![.!?])[.!?]+[\"')\]]*(?=\s|$)"
)
_TOKEN = re.compile(r"[A-Za-z]+(?:[-'][A-Za-z]+)*|\S")


@dataclass(frozen=True)
class Counter:
    """The counter of sentences and words in use; `reason` says why it is not NLTK."""

    name: Literal["nltk", "own"]
    reason: str = ""


@cache
def counter() -> Counter:
    """The counter in use: NLTK where it is installed with a readable model of English, else our own."""
    try:
        from nltk import sent_tokenize
    except ImportError:
        return Counter("own", "nltk is not installed: it comes with the extra `ifeval`")
    try:
        sent_tokenize("One. Two.")
    except LookupError:
        return Counter("own", "nltk finds no model: python -m nltk.downloader punkt_tab, or NLTK_DATA=FOLDER")
    except (OSError, ValueError) as error:
        return Counter("own", f"nltk cannot read its model: {type(error).__name__}: {str(error)[:200]}")
    return Counter("nltk")


def sentences(text: str) -> int:
    """The number of sentences in a text."""
    if counter().name == "nltk":
        from nltk import sent_tokenize

        return len(sent_tokenize(text))
    return own_sentences(text)


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text; a word with hyphens is one."""
    if counter().name == "nltk":
        from nltk import word_tokenize

        return list(word_tokenize(text))
    return _TOKEN.findall(text)


def own_sentences(text: str) -> int:
    """The number of sentences by our own rule: ends of sentences, and one for text after the last of them."""
    ends = list(_SENTENCE.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    return len(ends) + bool(rest.strip())
