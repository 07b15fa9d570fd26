"""Grammars of the embedded engine: which tokens may come next, by xgrammar.

In: a grammar as SGLang takes it (a structural tag, a JSON Schema, EBNF or a regular expression), the ids sampled so
far. Out: the ids that may follow, as a mask over the vocabulary. A grammar is compiled once for a tokenizer and kept;
each sequence has a matcher of its own. Where the grammar may end, a stop token may follow. Special tokens (those that
open and end turns) are nowhere allowed, but for those that the chat template writes within an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from katcore.engine.embedded.requests import Refused
from katcore.model.folder import ChatModel

KEPT_BYTES = 256 << 20
"""Memory for compiled grammars."""
_THREADS = 2
_WHERE = re.compile(r"^\[[\d:]+\] \S+?:\d+: ")
_KINDS = {"json_schema": "compile_json_schema", "regex": "compile_regex", "ebnf": "compile_grammar"}


class Matcher:
    """Where one completion stands in its grammar."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    @property
    def ended(self) -> bool:
        """Whether nothing may follow."""
        return bool(self._matcher.is_terminated())

    def accept(self, token: int) -> None:
        """Go on by one token, one of those allowed. ValueError when it is none."""
        if not self._matcher.accept_token(token):
            raise ValueError(f"the grammar does not allow token {token} here")

    def allowed(self) -> Tensor:
        """What may follow: [V], True for each token that may. ValueError where no token of the vocabulary may."""
        bits = torch.full((1, -(-self._vocabulary // 32)), -1, dtype=torch.int32)
        if self.ended:
            raise ValueError("the grammar has ended")
        self._matcher.fill_next_token_bitmask(bits)
        found = (bits[0, :, None] >> torch.arange(32, dtype=torch.int32)) & 1  # [V / 32, 32]
        allowed = found.flatten()[: self._vocabulary].bool()
        if not allowed.any():
            raise ValueError("no token of the vocabulary goes on with the grammar")
        return allowed


class Grammars:
    """The grammars of one model: `chat` has its tokenizer, `vocabulary` is the width of its logits."""

    def __init__(self, chat: ChatModel, vocabulary: int) -> None:
        """Refused where xgrammar is not installed."""
        try:
            import xgrammar
        except ImportError:
            raise Refused("a grammar needs xgrammar, which comes with kat-toolchain[train]") from None
        self._library, self._vocabulary = xgrammar, vocabulary
        info = xgrammar.TokenizerInfo(_tokens(chat, vocabulary), _kind(chat), vocab_size=vocabulary, stop_token_ids=[])
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=_THREADS, cache_limit_bytes=KEPT_BYTES)

    def matcher(self, kind: str, grammar: str, stops: Collection[int], output: Sequence[int] = ()) -> Matcher:
        """A matcher that has seen `output`. Refused with the library's reason, or where the output does not follow.

        It may take seconds for a large grammar. May be called from any thread. `stops` end the grammar; without any it
        ends by itself.
        """
        ends = [token for token in stops if token < self._vocabulary]
        try:
            compiled = self._compiled(kind, grammar)
            options: dict[str, Any] = {"override_stop_tokens": ends} if ends else {"terminate_without_stop_token": True}
            made = Matcher(self._library.GrammarMatcher(compiled, **options), self._vocabulary)
            for token in output:
                made.accept(token)
            if not made.ended:
                made.allowed()  # that something may follow at all
        except (RuntimeError, ValueError, TypeError) as reason:
            said = _WHERE.sub("", " ".join(str(reason).split()))
            raise Refused(f"grammar refused ({kind}): {said[:500]}") from None
        return made

    def _compiled(self, kind: str, grammar: str) -> Any:
        if kind == "structural_tag":
            tag = json.loads(grammar)
            if not isinstance(tag, dict) or "format" not in tag:
                raise ValueError("a structural tag is an object with a format")
            return self._compiler.compile_structural_tag(grammar)
        return getattr(self._compiler, _KINDS[kind])(grammar)


def _tokens(chat: ChatModel, vocabulary: int) -> list[str]:
    """Each id's token as the tokenizer has it; "" for those that no grammar allows."""
    found = [""] * vocabulary
    written = chat.turn.written
    backend = chat.tokenizer.backend
    barred = {
        number
        for number, token in backend.get_added_tokens_decoder().items()
        if number in chat.stop_ids or (token.special and token.content not in written)
    }
    for token, number in backend.get_vocab(with_added_tokens=True).items():
        if number < vocabulary and number not in barred:
            found[number] = token
    return found


def _kind(chat: ChatModel) -> Any:
    """How the vocabulary spells bytes, as the tokenizer's decoder says."""
    from xgrammar import VocabType

    decoder = json.dumps(json.loads(chat.tokenizer.backend.to_str()).get("decoder"))
    if '"ByteLevel"' in decoder:
        return VocabType.BYTE_LEVEL
    return VocabType.BYTE_FALLBACK if '"ByteFallback"' in decoder else VocabType.RAW
