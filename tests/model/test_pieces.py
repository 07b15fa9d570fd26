"""Ids by pieces are the library's own: for the patterns of real models, over texts made to be awkward."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from katcore.model.folder import load
from katcore.model.pieces import pieces_of
from tests.support.family_templates import FAMILIES, family

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Patterns of Qwen 2 to 3, Llama 3 and GLM 4, GPT-4o and later."""
SPLITS: dict[str, list[str]] = {
    "qwen2": [QWEN2],
    "llama3": [LLAMA3],
    "o200k": [O200K],
    "gpt2": [],
    "possessive": [r"\p{L}++|\p{N}++| *+\s|[^\s\p{L}\p{N}]+"],
    "digits first": [r"\p{N}{1,3}", QWEN2],
}
ALPHABET = (
    " " * 6
    + "\n\n\t\r\x0b\x0c\x00\x1b\x1c\x1f\x7f"
    + "aaabcdefXYZstremvdl0123456789''\"-_/\\.,:;(){}[]<>|#@!?=+*&^%$~`"
)
WORDS = (
    "def ",
    "return",
    "self.",
    "'s",
    "'LL",
    "'re ",
    "  \n",
    "\r\n\r\n",
    "100000",
    "<x>",
    "</x>",
    "<|end|>",
    "user\n",
    "  x",
)


def awkward(chance: random.Random, size: int) -> str:
    parts = [chance.choice(WORDS) if chance.random() < 0.3 else chance.choice(ALPHABET) for _ in range(size)]
    return "".join(parts)


def trained(splits: list[str], *, nfc: bool = False, added: list[AddedToken] | None = None) -> Tokenizer:
    made = Tokenizer(models.BPE())
    if nfc:
        made.normalizer = normalizers.NFC()
    steps: list[Any] = [pre_tokenizers.Split(Regex(each), "isolated") for each in splits]
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not splits)
    made.pre_tokenizer = pre_tokenizers.Sequence([*steps, last])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        show_progress=False,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    chance = random.Random(1)
    made.train_from_iterator([awkward(chance, 400) for _ in range(40)], trainer)
    made.add_tokens(added or [AddedToken("<x>", normalized=False), AddedToken("</x>", normalized=True)])
    return made


@pytest.mark.parametrize("name", SPLITS)
def test_the_ids_are_the_librarys(name: str) -> None:
    backend = trained(SPLITS[name], nfc=name == "qwen2")
    pieces = pieces_of(backend)
    assert pieces is not None
    chance = random.Random(2)
    for size in [0, 1, 2, 3, 5, 8, 13, *[chance.randrange(1, 300) for _ in range(600)]]:
        text = awkward(chance, size)
        assert pieces.encode(text) == backend.encode(text, add_special_tokens=False).ids, repr(text)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_families_too(name: str, tmp_path: Path) -> None:
    chat = family(name, tmp_path / name)
    chance = random.Random(3)
    for size in [chance.randrange(1, 300) for _ in range(200)]:
        text = awkward(chance, size)
        assert chat.encode(text) == chat.tokenizer.backend.encode(text, add_special_tokens=False).ids, repr(text)


def test_the_small_one_is_taken_and_opens_with_a_role() -> None:
    chat = load()
    pieces = pieces_of(chat.tokenizer.backend)
    assert pieces is not None
    for text in ("user\nuser\n", "<|im_start|>user\nAn answer.<|im_end|>\n<|im_start|>assistant\n", "xuser\n", "user"):
        assert pieces.encode(text) == chat.tokenizer.backend.encode(text, add_special_tokens=False).ids


def test_other_text_is_the_librarys() -> None:
    chat = load()
    pieces = pieces_of(chat.tokenizer.backend)
    assert pieces is not None and pieces.encode("naïve ✓") is None
    assert chat.encode("naïve ✓") == chat.tokenizer.backend.encode("naïve ✓", add_special_tokens=False).ids


def changed(change: Any) -> Tokenizer:
    given = json.loads(trained([QWEN2]).to_str())
    change(given)
    return tokenizers.Tokenizer.from_str(json.dumps(given))


OTHERS: dict[str, Any] = {
    "a prefix space": lambda t: t["pre_tokenizer"]["pretokenizers"][-1].update(add_prefix_space=True),
    "letters made small": lambda t: t.update(normalizer={"type": "Lowercase"}),
    "another behaviour": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed"),
    "what it does not match": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(invert=True),
    "a class of signs": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": r"\p{P}+|\p{L}+"}),
    "a look behind": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": r"(?<=a)b"}),
    "braces and a plus": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(
        pattern={"Regex": r"\p{N}{1,3}+|\p{L}+"}
    ),
    "an intersection": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "[a-z&&aeiou]+"}),
    "nothing at all": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": "x*"}),
    "a plain string": lambda t: t["pre_tokenizer"]["pretokenizers"][0].update(pattern={"String": " "}),
    "no bytes": lambda t: t.update(pre_tokenizer={"type": "Whitespace"}),
    "nothing": lambda t: t.update(pre_tokenizer=None),
    "dropout": lambda t: t["model"].update(dropout=0.1),
    "bytes that fall back": lambda t: t["model"].update(byte_fallback=True),
    "a token that takes spaces": lambda t: t["added_tokens"][-1].update(lstrip=True),
    "a token that is a word": lambda t: t["added_tokens"][-1].update(single_word=True),
}


@pytest.mark.parametrize("name", OTHERS)
def test_tokenizers_of_other_kinds_are_left_to_the_library(name: str) -> None:
    assert pieces_of(changed(OTHERS[name])) is None
