"""In which language a text is written, among the 31 of IFEval: by langdetect, else by script and commonest words.

In: text. Out: a code, or "" where none can be told. langdetect is what IFEval's authors use and comes with the extra
`ifeval`; it draws at random, here from the seed 0, so that a text has one language. Without it `language_of` decides,
made for whole responses: a text of a few words, or of code, has no language there.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from typing import Any, Literal

SCRIPTS = {
    "HANGUL": "ko", "THAI": "th", "TELUGU": "te", "TAMIL": "ta", "KANNADA": "kn", "MALAYALAM": "ml",
    "GUJARATI": "gu", "GURMUKHI": "pa", "BENGALI": "bn", "HEBREW": "he", "HIRAGANA": "ja", "KATAKANA": "ja",
    "GREEK": "el", "CJK": "zh", "DEVANAGARI": "hi", "ARABIC": "ar", "CYRILLIC": "ru", "LATIN": "en",
}  # fmt: skip
"""First word of a letter's Unicode name -> the language that it stands for where no other is told apart."""

WORDS = {
    "en": "the of and to in is that it for was with as on be at by this are from or have an not you but they we his",
    "es": "de la que el en y los del se las por un para con no una su al lo como más pero sus le ya este porque es",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao ele das seu você são é",
    "fr": "de la le et les des en un du une que est pour qui dans par plus pas au sur ne se ce il sont avec nous vous",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden sie wir",
    "it": "di e il la che in un per una è del sono le con non si da come dei nel alla più anche gli ma questo della",
    "vi": "và của là các có được cho không một trong người với những để này đã từ khi về bạn đến nhiều như tôi cũng",
    "pl": "w i na z się do nie że to jest o jak ale po co dla od przez przy może tym są oraz które który być tak",
    "fi": "ja on ei se että oli hän mutta ovat kuin joka myös niin sen tai mitä kun jos voi ole olla sekä tämä minä",
    "sw": "ya na wa kwa ni katika la za kuwa hii cha yake kama au hiyo pia watu mimi wewe sana lakini moja hivyo huu",
}
"""Common words of languages in Latin letters, the first of two that share one included in both."""

ONLY = {
    "ru": "ыэ", "uk": "іїєґ", "bg": "", "ur": "ٹڈڑںےھ", "fa": "پچژگ", "mr": "ळ",
}  # fmt: skip
"""Letters that tell apart languages of one script."""
MARATHI = frozenset(["आहे", "आणि", "आहेत", "मी", "हे", "या", "ते", "नाही", "होते", "एक"])
HINDI = frozenset(["है", "और", "के", "का", "की", "में", "हैं", "से", "को", "यह"])
BULGARIAN = frozenset(["на", "и", "е", "да", "се", "за", "от", "не", "са", "ще", "това", "като", "със", "тази", "но"])
LETTERS = 2
"""The fewest letters, each counted once, of a text that is in a language."""
NAMES = {"iw": "he", "zh-cn": "zh", "zh-tw": "zh"}


def written_in(text: str, language: str) -> bool:
    """Whether a text is in the language of that code; one whose language cannot be told is not."""
    found, wanted = detected(text), language.lower()
    return bool(found) and NAMES.get(found, found) == NAMES.get(wanted, wanted)


def detector() -> Literal["langdetect", "own"]:
    """Which detector of languages is in use: langdetect where it is installed, else our own."""
    return "own" if _langdetect() is None else "langdetect"


@lru_cache(16)
def detected(text: str) -> str:
    """The code of the text's language by the detector in use; "" where it cannot be told, as from a single letter."""
    if len({char for char in text.lower() if char.isalpha()}) < LETTERS:
        return ""
    factory = _langdetect()
    if factory is None:
        return language_of(text)
    from langdetect import LangDetectException

    detecting = factory.create()
    try:
        detecting.append(text)
        return str(detecting.detect())
    except LangDetectException:  # no letters that it knows
        return ""


@cache
def _langdetect() -> Any:
    """A detector factory with a fixed seed; langdetect's module-level one has none, and is the whole process's."""
    try:
        from langdetect import PROFILES_DIRECTORY, DetectorFactory
    except ImportError:
        return None
    factory = DetectorFactory()
    factory.set_seed(0)
    factory.load_profile(PROFILES_DIRECTORY)
    return factory


def language_of(text: str) -> str:
    """The language's two-letter code, or "" for a text without letters or with too few known words."""
    letters = Counter(_script(char) for char in text if char.isalpha())
    letters.pop("", None)
    if not letters:
        return ""
    if letters["HIRAGANA"] + letters["KATAKANA"] > 0.1 * letters.total():
        return "ja"
    script = letters.most_common(1)[0][0]
    words = re.findall(r"[^\W\d_]+(?:[\u0300-\u036f\u0900-\u0dff][^\W\d_]*)*", text.lower())
    if script == "LATIN":
        return _latin(words)
    return _told_apart(SCRIPTS[script], text, text.split())


def _script(char: str) -> str:
    name = unicodedata.name(char, "").split(" ")[0].split("-")[0]
    return name if name in SCRIPTS else ""


def _latin(words: list[str]) -> str:
    known = {code: sum(word in set(common.split()) for word in words) for code, common in WORDS.items()}
    best = max(known, key=lambda code: known[code])
    return best if known[best] >= max(2, 0.05 * len(words)) else ""


def _told_apart(code: str, text: str, words: list[str]) -> str:
    if code == "ru":
        if any(char in ONLY["uk"] for char in text.lower()):
            return "uk"
        bulgarian = sum(word.strip(".,!?").lower() in BULGARIAN for word in words)
        return "ru" if any(char in ONLY["ru"] for char in text.lower()) or not bulgarian else "bg"
    if code == "ar":
        if any(char in ONLY["ur"] for char in text):
            return "ur"
        return "fa" if any(char in ONLY["fa"] for char in text) else "ar"
    if code == "hi":
        marathi = sum(word.strip("।,.") in MARATHI for word in words) + sum(char in ONLY["mr"] for char in text)
        hindi = sum(word.strip("।,.") in HINDI for word in words)
        return "ne" if "छ" in text and "हरू" in text else ("mr" if marathi > hindi else "hi")
    return code
