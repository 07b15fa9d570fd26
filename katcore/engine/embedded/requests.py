"""Bodies of SGLang's native HTTP API, as far as the embedded engine speaks it.

In: JSON. Out: checked Structs, or Refused with the reason. What would change the result and is not supported
(penalties) is refused, never ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

GRAMMARS = ("json_schema", "regex", "ebnf", "structural_tag")
Unit = Annotated[float, Meta(ge=0.0, le=1.0)]


class Refused(Exception):
    """The request cannot be served as it stands; it is answered with HTTP 400."""


class Sampling(Struct, forbid_unknown_fields=True):
    """`sampling_params`; the last ones are accepted at their neutral value only, or do not matter to token ids.

    `max_new_tokens` 0 reads the prompt and samples nothing, which is how a text is scored.
    """

    temperature: Annotated[float, Meta(ge=0.0)] = 1.0
    top_p: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    top_k: int = -1
    min_p: Unit = 0.0
    max_new_tokens: Annotated[int, Meta(ge=0)] = 128
    stop_token_ids: list[int] | None = None
    stop: str | list[str] | None = None
    sampling_seed: int | None = None
    n: Annotated[int, Meta(ge=1, le=256)] = 1
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    no_stop_trim: bool = False
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0
    json_schema: str | None = None
    regex: str | None = None
    ebnf: str | None = None
    structural_tag: str | None = None

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The texts that end a completion."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def grammar(self) -> tuple[str, str] | None:
        """The kind of grammar that the completion follows, and its text."""
        return next(((kind, text) for kind in GRAMMARS if (text := getattr(self, kind)) is not None), None)

    def check(self) -> None:
        """Raise Refused for parameters that this engine does not support."""
        if sum(getattr(self, kind) is not None for kind in GRAMMARS) > 1:
            raise Refused(f"only one of {', '.join(GRAMMARS)}")
        if self.frequency_penalty or self.presence_penalty or self.repetition_penalty != 1.0 or self.min_new_tokens:
            raise Refused("penalties and min_new_tokens are not supported by the embedded engine")
        if not all(self.stop_strings):
            raise Refused("a stop string is empty")


class Generate(Struct):
    """The body of /generate; fields that it does not name are SGLang's and do not matter here.

    `grammar_tokens`, which SGLang does not have: so many of the last input ids are the beginning of what the grammar
    describes.
    """

    input_ids: list[int | list[int]]
    sampling_params: Sampling = msgspec.field(default_factory=Sampling)
    return_logprob: bool = False
    logprob_start_len: Annotated[int, Meta(ge=-1)] = -1
    rid: str | None = None
    stream: bool = False
    grammar_tokens: Annotated[int, Meta(ge=0)] = 0

    @property
    def score_from(self) -> int | None:
        """Where log-probs of the prompt's own tokens begin."""
        return self.logprob_start_len if self.return_logprob and self.logprob_start_len >= 0 else None


class Update(Struct):
    """The body of /update_weights_from_disk."""

    model_path: str
    weight_version: str | None = None
    flush_cache: bool = True
    abort_all_requests: bool = False


class UpdateTensors(Struct):
    """The body of /update_weights_from_tensor.

    SGLang's payloads are pickles, which run what they name; ours are safetensors (`load_format` says so), base64, each
    with the SHA-256 of its bytes.
    """

    serialized_named_tensors: list[bytes]
    checksums: list[str] = []
    load_format: str | None = None
    weight_version: str | None = None
    flush_cache: bool = True
    abort_all_requests: bool = False

    def check(self) -> None:
        """Raise Refused for payloads that are pickles."""
        if self.load_format != "safetensors":
            raise Refused("the embedded engine takes tensors with load_format safetensors only")


class Memory(Struct):
    """The body of /release_memory_occupation and /resume_memory_occupation; no tags: everything."""

    tags: list[Literal["kv_cache", "weights"]] | None = None


class Pause(Struct):
    """The body of /pause_generation."""

    mode: Literal["abort", "retract", "in_place"] = "abort"


class Abort(Struct):
    """The body of /abort_request."""

    rid: str = ""
    abort_all: bool = False


def decode(body: bytes, kind: Any) -> Any:
    """A checked body; Refused says what is wrong with it."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as reason:
        raise Refused(str(reason)) from None
