"""Tokenising piece by piece gives the ids of the whole, and loss spans in characters become tokens."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from katcore.model.folder import load
from katcore.model.tokenizer import Tokenizer
from katcore.pack_trie.render import Renderer
from katcore.pack_trie.segments import Segments
from katcore.records import Sample
from tests.support.chat_models import model

CHAT = load()
PIECES = [
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</tool_call>",
    "<|im",
    "user\n",
    "\n",
    "  ",
    "é",
    "the",
    " the",
    "1",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.lists(st.integers(0, 60), max_size=4))
def test_every_beginning_of_a_text_has_the_ids_of_itself(pieces: list[str], cuts: list[int]) -> None:
    text, segments = "".join(pieces), Segments(CHAT.tokenizer)
    for cut in [*sorted(cuts), len(text)]:
        assert segments.encode(text[:cut]) == CHAT.encode(text[:cut])
    segments.forget()
    assert segments.encode(text) == CHAT.encode(text)


def prefixing() -> Tokenizer:
    """One that writes a mark before the first word of a text, and only there."""
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = tokenizers.decoders.Metaspace(prepend_scheme="first")
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=60, special_tokens=["<s>"], show_progress=False)
    backend.train_from_iterator(["the user the use the us"], trainer)
    return Tokenizer(backend, {}, (0,), b"")


@given(st.lists(st.sampled_from(["<s>", "the", " user", " ", "us"]), max_size=12))
def test_the_mark_of_a_texts_beginning_stands_nowhere_else(pieces: list[str]) -> None:
    tokenizer, text = prefixing(), "".join(pieces)
    assert Segments(tokenizer).encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word", "normalized"])
def test_tokens_that_look_at_what_is_beside_them(tmp_path: Path, flag: str) -> None:
    chat = model(tmp_path, None, added=("<|mark|>",), **{flag: True})
    segments = Segments(chat.tokenizer)
    for text in ("a <|mark|> b", "a<|mark|>b<|im_end|>  <|mark|>", "  <|mark|>  "):
        assert segments.encode(text) == chat.encode(text)


# --------------------------------------------------------------------------------------------- loss spans


def naive(text: str, spans: list[tuple[int, int]]) -> list[int]:
    """Tokens whose every character is in a span, one character at a time (ASCII: a token's text is its decoding)."""
    inside = [any(a <= i < b for a, b in spans) for i in range(len(text))]
    found, at = [], 0
    for place, token in enumerate(CHAT.encode(text)):
        length = len(CHAT.decode([token]))
        if place > 0 and all(inside[at : at + length]):
            found.append(place)
        at += length
    assert at == len(text)
    return found


def counted(text: str, spans: list[tuple[int, int]], renderer: Renderer | None = None) -> list[int]:
    (made,) = (renderer or Renderer(CHAT)).sample(Sample(id="s", text=text, loss_spans=spans))
    return [i for a, b in made.sampled for i in range(a, b)]


@pytest.mark.parametrize("seed", range(60))
def test_a_token_counts_when_it_lies_inside(seed: int) -> None:
    rng = random.Random(seed)
    words = ["def ", "function(", "the user ", "\n    ", "return", " value", "1234", "<|im_end|>", "; ", "assert"]
    text = "".join(rng.choice(words) for _ in range(30))
    spans = [(min(c), max(c)) for c in ([rng.randrange(len(text) + 1) for _ in range(2)] for _ in range(3))]
    assert counted(text, spans) == naive(text, spans)


def test_without_spans_everything_counts_but_the_first() -> None:
    text = "one two three"
    assert counted(text, []) == list(range(1, len(CHAT.encode(text))))


def test_spans_that_touch_are_one() -> None:
    text = "say function now"
    at = text.index("function") + 3
    assert counted(text, [(0, at), (at, len(text))]) == counted(text, [])
    assert len(counted(text, [(0, at), (at + 1, len(text))])) < len(counted(text, []))


def test_characters_of_several_tokens_count_whole() -> None:
    text = "a \U0001f600 b"
    at = text.index("\U0001f600")
    ids = CHAT.encode(text)
    found = counted(text, [(at, at + 1)])
    assert len(found) > 1 and CHAT.decode([ids[i] for i in found]).strip() == "\U0001f600"


def test_offsets_that_leave_out_white_space_do_not_change_what_counts(tmp_path: Path) -> None:
    trimming = model(tmp_path, None)
    trimming.tokenizer.backend.post_processor = tokenizers.processors.ByteLevel(trim_offsets=True)
    text = "say the word  and   stop"
    for a in range(len(text)):
        for b in range(a, len(text) + 1):
            assert counted(text, [(a, b)], Renderer(trimming)) == counted(text, [(a, b)]), text[a:b]
