"""Token ids and text: one `tokenizer.json` with its special tokens, and the training of a small one.

In: a folder with `tokenizer.json` (any made by `save_pretrained`) and, where there are, `tokenizer_config.json`,
`generation_config.json`, `config.json`. Out: ids, text, stop ids. Chat templates are `template.py`'s.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import tokenizers

from katcore.errors import InputError
from katcore.model.files import read_json
from katcore.model.pieces import Pieces, pieces_of

SMALL = Path(__file__).parent / "small"
END_OF_TEXT, TURN_START, TURN_END = TURN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")

# A role's line is a piece of its own, so that a completion that begins with white space never merges into the
# generation prompt: prompt ids + completion ids are a prefix of the longer conversation's ids, whatever was sampled.
_ROLE_LINE = r"\A(?:system|user|assistant)\n"
_PIECES = r"'(?i:s|t|re|ve|m|ll|d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


SHORT, MOST_SHORT = 64, 4096
"""Texts of at most SHORT characters are cached with their ids, at most MOST_SHORT of them: turns repeat openings."""
FEW = 8
"""So few ids are cached with their text, for the same reason."""


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back, with nothing added: templates write their own beginning-of-sequence token.

    `special` maps the names that templates use (`bos_token`, `eos_token`, …) to their text.
    """

    backend: Any
    special: dict[str, str]
    stop_ids: tuple[int, ...]
    source: bytes
    """The bytes of `tokenizer.json`, as they were read."""
    _texts: dict[tuple[int, ...], str] = field(default_factory=dict, repr=False, compare=False)
    _short: dict[str, list[int]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens in it become their single ids."""
        found = self._short.get(text)
        if found is None:
            found = self._pieces.encode(text) if self._pieces is not None else None
            if found is None:
                found = self.backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
            if len(text) <= SHORT and len(self._short) < MOST_SHORT:
                self._short[text] = found
        return list(found)

    @cached_property
    def _pieces(self) -> Pieces | None:
        return pieces_of(self.backend)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens included; bytes that are no UTF-8 become U+FFFD."""
        if len(ids) > FEW:
            return str(self.backend.decode(list(ids), skip_special_tokens=False))
        key = tuple(ids)
        found = self._texts.get(key)
        if found is None:
            found = str(self.backend.decode(list(ids), skip_special_tokens=False))
            if len(self._texts) < MOST_SHORT:
                self._texts[key] = found
        return found

    def id(self, token: str) -> int | None:
        """The id of one token, None when the vocabulary lacks it."""
        found = self.backend.token_to_id(token)
        return None if found is None else int(found)

    def span(self, ids: Sequence[int], start: int, end: int) -> tuple[int, int]:
        """The tokens [a, b) of `ids` that cover the characters [start, end) of their text."""
        lengths = self._lengths(ids)
        if lengths is not None:
            return max(bisect_right(lengths, start) - 1, 0), min(bisect_left(lengths, end), len(ids))
        first = _bisect(len(ids), lambda n: len(self.decode(ids[:n])) > start) - 1
        last = _bisect(len(ids), lambda n: len(self.decode(ids[:n])) >= end, max(first, 0))
        return max(first, 0), last

    def _lengths(self, ids: Sequence[int]) -> list[int] | None:
        """The characters that the first n ids are, for n from 0 on; None where a token's text depends on its place."""
        parts = [self.decode([token]) for token in ids]
        if "".join(parts) != self.decode(ids):
            return None
        return [0, *accumulate(map(len, parts))]

    def state(self) -> bytes:
        """The bytes that decide the ids, without the call-time settings that `save_pretrained` adds."""
        unused = ("padding", "truncation", "post_processor")
        kept = {key: value for key, value in json.loads(self.source).items() if key not in unused}
        return json.dumps(kept, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _bisect(size: int, reached: Any, low: int = 0) -> int:
    """The smallest n in [low, size] for which `reached(n)`; `size` when none below it."""
    high = size
    while low < high:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle + 1
    return low


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder; InputError when it has none that `tokenizers` can read."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        hint = "save it with a fast tokenizer: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
        raise InputError(f"{folder}: no tokenizer.json", hint=hint)
    source = path.read_bytes()
    config = read_json(folder / "tokenizer_config.json")
    try:
        backend = tokenizers.Tokenizer.from_str(source.decode())
    except Exception as reason:  # noqa: BLE001 - the binding raises bare Exception, nothing narrower
        raise InputError(f"{path}: not a tokenizer ({reason})") from None
    backend.no_padding()
    backend.no_truncation()
    _add_missing(backend, config)
    special = _special(read_json(folder / "special_tokens_map.json")) | _special(config)
    return Tokenizer(backend, special, _stop_ids(backend, special, folder), source)


def _add_missing(backend: Any, config: dict[str, Any]) -> None:
    """Add the tokens that `tokenizer_config.json` names and `tokenizer.json` lacks."""
    table = config.get("added_tokens_decoder") or {}
    for _, entry in sorted(table.items(), key=lambda item: int(item[0])):
        if backend.token_to_id(entry["content"]) is None:
            fields = {key: entry[key] for key in ("lstrip", "rstrip", "single_word", "normalized", "special")}
            backend.add_tokens([tokenizers.AddedToken(entry["content"], **fields)])


def _special(config: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name, value in config.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found


def _stop_ids(backend: Any, special: dict[str, str], folder: Path) -> tuple[int, ...]:
    ids: list[int] = []
    for file in ("generation_config.json", "config.json"):
        value = read_json(folder / file).get("eos_token_id")
        ids += [value] if isinstance(value, int) else value or []
    names = (special.get("eos_token"), TURN_END)
    ids += [found for name in names if name and (found := backend.token_to_id(name)) is not None]
    return tuple(dict.fromkeys(ids))


def train_tokenizer(texts: Iterable[str], vocab_size: int, folder: Path) -> None:
    """Train a byte-level BPE on `texts` and write it with KAT's chat template to `folder`.

    The same texts and size give the same bytes. `vocab_size` counts the 256 bytes and the special tokens.
    """
    least = 256 + len(TURN_TOKENS) + len(MARKERS)
    if vocab_size < least:
        raise InputError(f"a byte-level vocabulary needs at least {least} entries, not {vocab_size}")
    backend = _untrained()
    special = [tokenizers.AddedToken(text, special=True, normalized=False) for text in (*TURN_TOKENS, *MARKERS)]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=sorted(alphabet), show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(_source(backend) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(_config(), indent=2) + "\n", encoding="utf-8")
    template = (SMALL / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def _source(backend: Any) -> str:
    """The tokenizer as JSON, where tokens of a message's text are not special, as the trainer marks all it is given."""
    table = json.loads(backend.to_str())
    for entry in table["added_tokens"]:
        entry["special"] = entry["content"] in TURN_TOKENS
    return json.dumps(table, ensure_ascii=False, separators=(",", ":"))


def _untrained() -> Any:
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    split, regex = tokenizers.pre_tokenizers.Split, tokenizers.Regex
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            split(regex(_ROLE_LINE), "isolated"),
            split(regex(_PIECES), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = tokenizers.decoders.ByteLevel()
    return backend


def _config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "additional_special_tokens": [TURN_START],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000,
    }
