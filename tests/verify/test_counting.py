"""Who counts sentences and words and tells languages: IFEval's libraries where they are, else we, and it is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import langdetect
import nltk
import pytest

from katcore.verify import counting, language, rules
from katcore.verify.constraints import broken
from tests.support.constraints import FOLLOWED, said, task
from tests.support.endless import ends

ENGLISH = {
    "abbrev_types.txt": "approx\ndr\nu.s\n",
    "collocations.tab": "no\tone\n",
    "ortho_context.tab": "the\t110\n",
    "sent_starters.txt": "the\n",
}
"""A model as Punkt's are laid out, with few words in it."""
TWO = {"check": "constraints", "instruction_id_list": ["length_constraints:number_sentences"],
       "kwargs": [{"num_sentences": 2, "relation": "at least"}]}  # fmt: skip


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    def forget() -> None:
        nltk.tokenize._get_punkt_tokenizer.cache_clear()
        counting.counter.cache_clear()
        language.detected.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def neither(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "nltk", None)
    monkeypatch.setitem(sys.modules, "langdetect", None)
    language._langdetect.cache_clear()
    yield
    language._langdetect.cache_clear()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed model of English."""
    folder = tmp_path / "tokenizers" / "punkt_tab" / "english"
    folder.mkdir(parents=True)
    for name, text in ENGLISH.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    return folder


def evidence(text: str, *rule: dict[str, Any]) -> dict[str, Any]:
    verdict = rules.verdict(task(*rule), said(text), lambda *_: pytest.fail("no program here"))
    seen: dict[str, Any] = verdict.evidence["rules"][0]
    return seen


def in_language(code: str) -> dict[str, Any]:
    kwargs = [{"language": code}]
    return {"check": "constraints", "instruction_id_list": ["language:response_language"], "kwargs": kwargs}


# ------------------------------------------------------------------ sentences and words


def test_punkt_counts_where_its_model_is_installed(model: Path) -> None:
    text = "It is approx. Two miles. Dr. Who of the U.S. Army went."
    assert (counting.sentences(text), counting.own_sentences(text)) == (2, 4)
    assert counting.words("A WELL-KNOWN U.S. law, I think.") == [
        "A",
        "WELL-KNOWN",
        "U.S.",
        "law",
        ",",
        "I",
        "think",
        ".",
    ]
    assert not broken("change_case:capital_word_frequency", {"capital_frequency": 3, "capital_relation": "at least"},
                      "THIS is NASA. GO")  # fmt: skip
    assert evidence(text, TWO) == {
        "check": "constraints", "holds": True, "broken": [], "of": 1, "reason": "", "counter": "nltk",
    }  # fmt: skip


def test_a_missing_model_is_said_and_we_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    seen = evidence("One. Two.", TWO)
    assert seen["holds"] and seen["counter"] == "own"
    assert seen["counter_reason"] == "nltk finds no model: python -m nltk.downloader punkt_tab, or NLTK_DATA=FOLDER"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("ortho_context.tab", "the\tmuch\n", "nltk cannot read its model: ValueError"),
        ("ortho_context.tab", None, "nltk finds no model"),
        ("abbrev_types.txt", b"\xff\xfe", "nltk cannot read its model: UnicodeDecodeError"),
    ],
)
def test_a_broken_model_is_said_and_we_count(model: Path, name: str, text: str | bytes | None, reason: str) -> None:
    (model / name).unlink()
    if text is not None:
        (model / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert counting.counter().name == "own" and counting.counter().reason.startswith(reason)
    assert counting.sentences("One. Two.") == 2


def test_without_the_extra_we_count_and_tell_languages(neither: None) -> None:
    seen = evidence("One. Two.", TWO)
    assert seen["counter"] == "own" and seen["counter_reason"].startswith("nltk is not installed")
    assert evidence("Das ist nicht der Hund und die Katze", in_language("de"))["detector"] == "own"


@pytest.mark.parametrize(
    ("name", "given", "good", "bad"), FOLLOWED, ids=[f"{i}-{f[0]}" for i, f in enumerate(FOLLOWED)]
)
def test_constraints_without_the_extra(neither: None, name: str, given: dict[str, Any], good: str, bad: str) -> None:
    assert not broken(name, given, good) and broken(name, given, bad)


def test_only_who_was_asked_is_named() -> None:
    comma = {"check": "constraints", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    assert set(evidence("no", comma)) == {"check", "holds", "broken", "of", "reason"}


# ------------------------------------------------------------------ languages


@pytest.mark.parametrize(
    "text", ["The cat is in the house.", "Le chat est là", "HELLO THERE, ALL OF YOU", "猫在房子里", "x = 1 + y"]
)
def test_langdetect_says_what_it_says_from_the_seed_0(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = language.detected(text)
    assert langdetect.DetectorFactory.seed is None, "other users of langdetect in this process keep their own"
    monkeypatch.setattr(langdetect.DetectorFactory, "seed", 0)
    assert ours == langdetect.detect(text)


def test_a_language_that_cannot_be_told_is_said() -> None:
    seen = evidence("12345 !!!", in_language("hi"))
    assert seen["detector"] == "langdetect" and seen["undetermined"] == ["language:response_language"]
    assert not seen["holds"]
    told = evidence("The cat is in the house and it was not for you.", in_language("hi"))
    assert not told["holds"] and "undetermined" not in told


def test_chinese_is_chinese_in_either_script() -> None:
    assert evidence("猫在房子里，它不想出去。", in_language("zh"))["holds"]


# ------------------------------------------------------------------ hostile


@pytest.mark.parametrize("text", ["A? " * 3000, "a. " * 3000, "... A" * 2500, "a@" * 25_000, "https://" + "a" * 50_000])
def test_answers_made_to_take_for_ever_do_not(model: Path, text: str) -> None:
    with ends():
        counting.sentences(text)
        counting.words(text)
        language.detected(text)
