"""The 25 verifiable instructions of IFEval (Zhou et al. 2023, arXiv:2311.07911) by their published names and arguments.

In: a name such as `keywords:existence`, its arguments, a response. Out: whether the response breaks it, in the paper's
strict sense, the response read as it looks (`visible.py`). With the extra `ifeval` sentences, words and languages are
found by the libraries of the authors' program (NLTK, langdetect), without it by `counting.py` and `language.py` alone;
`found_by` says which of them it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from katcore.errors import RecordError
from katcore.records import Json
from katcore.verify.counting import counter, sentences, words
from katcore.verify.language import detected, detector, written_in
from katcore.verify.visible import visible

Kwargs = Json
OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
"""The answers of IFEval's `constrained_response`, one of which a response must contain."""

COUNTED = frozenset(["length_constraints:number_sentences", "change_case:capital_word_frequency"])
"""The instructions that the counter of sentences or words decides; `number_words` has one pattern in both."""
IN_A_LANGUAGE = frozenset(
    ["language:response_language", "change_case:english_capital", "change_case:english_lowercase"]
)


def broken(name: str, kwargs: Kwargs, response: str) -> bool:
    """Whether the response breaks the instruction; an empty one breaks each. RecordError: unknown, or bad arguments."""
    follows = INSTRUCTIONS.get(name)
    if follows is None:
        raise RecordError("task", f"unknown instruction {name!r}")
    given = {key: _read(value) for key, value in kwargs.items() if value is not None}
    response = visible(response)
    try:
        return not (response.strip() and follows(response, given))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError("task", f"instruction {name}: bad arguments {given}: {error!r}") from error


def found_by(names: Iterable[str], response: str) -> Json:
    """Who counted for these instructions and who told the language, and whether a language could be told at all."""
    found: Json = {}
    asked = set(names)
    if asked & COUNTED:
        found["counter"] = counter().name
        if counter().reason:
            found["counter_reason"] = counter().reason
    if asked & IN_A_LANGUAGE:
        found["detector"] = detector()
        if not detected(visible(response)):
            found["undetermined"] = sorted(asked & IN_A_LANGUAGE)
    return found


def _read(value: Any) -> Any:
    """An argument, with its texts as a response is read."""
    if isinstance(value, list):
        return [_read(each) for each in value]
    return visible(value) if isinstance(value, str) else value


def _relation(count: int, wanted: int, relation: str) -> bool:
    if relation not in ("less than", "at least"):
        raise ValueError(f"relation {relation!r}")
    return count < wanted if relation == "less than" else count >= wanted


def _finds(word: str, text: str) -> bool:
    return re.search(re.escape(word), text, re.IGNORECASE) is not None


def _whole(word: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def _frequency(text: str, given: Kwargs) -> bool:
    count = len(re.findall(re.escape(given["keyword"]), text, re.IGNORECASE))
    return _relation(count, given["frequency"], given["relation"])


def _letters(text: str, given: Kwargs) -> bool:
    count = text.lower().count(given["letter"].lower())
    return _relation(count, given["let_frequency"], given["let_relation"])


def _paragraphs(text: str, given: Kwargs) -> bool:
    """Whether the paragraphs, parted by `***`, are as many as asked; empty ones may stand at start or end alone."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    inner = parts[1 if not parts[0] else 0 : -1 if len(parts) > 1 and not parts[-1] else None]
    return all(inner) and len(inner) == int(given["num_paragraphs"])


def _first_word(text: str, given: Kwargs) -> bool:
    """Whether the n-th paragraph, parted by blank lines, begins with the word, whatever its case and punctuation."""
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    nth = given["nth_paragraph"]
    if len(parts) != given["num_paragraphs"] or not 1 <= nth <= len(parts):
        return False
    word = parts[nth - 1].split()[0].lstrip("'\"")
    return re.split(r"[.,?!'\"]", word)[0].lower() == str(given["first_word"]).lower()


def _postscript(text: str, given: Kwargs) -> bool:
    marker = given["postscript_marker"]
    pattern = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker)
    return re.search(pattern or re.escape(marker.lower()), text.lower()) is not None


def _bullets(text: str, given: Kwargs) -> bool:
    starred = re.findall(r"^[ \t]*\*[^\*]", text, re.MULTILINE)
    return len(starred) + len(re.findall(r"^[ \t]*-", text, re.MULTILINE)) == int(given["num_bullets"])


def _highlights(text: str, given: Kwargs) -> bool:
    found = re.findall(r"\*[^\n\*]*\*", text)
    bold = re.findall(r"\*\*[^\n\*]*\*\*", text)
    count = sum(bool(part.strip("*").strip()) for part in (*found, *bold))
    return count >= int(given["num_highlights"])


def _sections(text: str, given: Kwargs) -> bool:
    splitter = re.escape(given.get("section_spliter") or given["section_splitter"])  # the data set's own spelling
    return len(re.split(rf"\s?{splitter}\s?\d+\s?", text)) - 1 >= int(given["num_sections"])


def _json(text: str, given: Kwargs) -> bool:
    inner = re.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip(), flags=re.IGNORECASE)
    try:
        json.loads(inner)
    except (ValueError, RecursionError):
        return False
    return True


def _title(text: str, given: Kwargs) -> bool:
    return any(found.strip() for found in re.findall(r"<<((?:(?!<<)[^\n])+?)>>", text))


def _two_responses(text: str, given: Kwargs) -> bool:
    """Whether there are two responses, parted by six stars, that are not the same."""
    parts = [part.strip() for part in text.split("******")]
    inner = parts[1 if not parts[0] else 0 : -1 if len(parts) > 1 and not parts[-1] else None]
    return len(inner) == 2 and all(inner) and inner[0] != inner[1]


def _repeats(text: str, given: Kwargs) -> bool:
    return text.strip().lower().startswith(str(given["prompt_to_repeat"]).strip().lower())


def _ends(text: str, given: Kwargs) -> bool:
    return text.strip().strip('"').lower().endswith(str(given["end_phrase"]).strip().lower())


def _capitals(text: str, given: Kwargs) -> bool:
    count = sum(token.isupper() for token in words(text))
    return _relation(count, given["capital_frequency"], given["capital_relation"])


def _quoted(text: str, given: Kwargs) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


INSTRUCTIONS: dict[str, Callable[[str, Kwargs], bool]] = {
    "keywords:existence": lambda text, given: all(_finds(word, text) for word in given["keywords"]),
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": lambda text, given: not any(_whole(word, text) for word in given["forbidden_words"]),
    "keywords:letter_frequency": _letters,
    "language:response_language": lambda text, given: written_in(text, given["language"]),
    "length_constraints:number_sentences": lambda text, given: _relation(
        sentences(text), given["num_sentences"], given["relation"]
    ),
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": lambda text, given: _relation(
        len(re.findall(r"\w+", text)), given["num_words"], given["relation"]
    ),
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda text, given: (
        len(re.findall(r"\[[^\[\]\n]*\]", text)) >= given["num_placeholders"]
    ),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": lambda text, given: any(option in text for option in OPTIONS),
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeats,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
    "change_case:capital_word_frequency": _capitals,
    "change_case:english_capital": lambda text, given: text.isupper() and written_in(text, "en"),
    "change_case:english_lowercase": lambda text, given: text.islower() and written_in(text, "en"),
    "punctuation:no_comma": lambda text, given: "," not in text,
}
"""For each instruction's name the function that tells whether a response that is not empty follows it."""
