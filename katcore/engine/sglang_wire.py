"""SGLang's shapes: bodies of /generate from our parameters, and generations from its answers and events.

In: SamplingParams, JSON tables. Out: the other. Anything in another shape is a KeyError, TypeError, ValueError or
IndexError for the caller to name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from katcore.engine import Generation, SamplingParams

BAD_SHAPE = (KeyError, TypeError, ValueError, IndexError)


def sampling(params: SamplingParams) -> dict[str, Any]:
    """`sampling_params`."""
    fields: dict[str, Any] = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "min_p": params.min_p,
        "max_new_tokens": params.max_new_tokens,
        "stop_token_ids": list(params.stop_token_ids),
        "skip_special_tokens": False,
    }
    if params.stop:
        fields["stop"] = list(params.stop)
    if params.grammar is not None:
        fields["structural_tag"] = params.grammar
    return fields if params.seed is None else fields | {"sampling_seed": params.seed}


def generation(answer: dict[str, Any]) -> Generation:
    """A whole answer."""
    meta = answer["meta_info"]
    pairs = meta["output_token_logprobs"]
    given = answer.get("output_ids")
    if given is not None and list(given) != [pair[1] for pair in pairs]:
        raise ValueError("output_ids and output_token_logprobs disagree")
    return _generation(meta, pairs, meta["finish_reason"]["type"], 0)


class Growing:
    """Turns the events of one stream into what is new in each.

    SGLang repeats everything so far in each event, unless it runs with `--incremental-streaming-output`;
    `completion_tokens` tells which it is.
    """

    def __init__(self) -> None:
        self.count = 0

    def part(self, event: dict[str, Any]) -> Generation:
        """What is new; without a finish reason while it goes on."""
        meta = event["meta_info"]
        pairs, total = meta["output_token_logprobs"], int(meta["completion_tokens"])
        if len(pairs) >= total:
            pairs = pairs[self.count :]
        elif len(pairs) != total - self.count:
            raise ValueError(f"{len(pairs)} log-probs after {self.count} tokens of {total}")
        finish = meta.get("finish_reason")
        found = _generation(meta, pairs, finish["type"] if finish else "", self.count)
        self.count += len(pairs)
        return found


def scores(answer: dict[str, Any], tokens: Sequence[int], start: int) -> list[float]:
    """Log-probs of `tokens[start:]` from `input_token_logprobs`, whose first entry may lack a value."""
    entries = answer["meta_info"]["input_token_logprobs"][-(len(tokens) - start) :]
    if [entry[1] for entry in entries] != list(tokens[start:]):
        raise ValueError("input_token_logprobs are those of other tokens")
    return [float(entry[0]) for entry in entries]


def _generation(meta: dict[str, Any], pairs: list[Any], finish: str, start: int) -> Generation:
    return Generation(
        token_ids=[int(pair[1]) for pair in pairs],
        logprobs=[float(pair[0]) for pair in pairs],
        finish_reason=finish,
        versions=_versions(meta, start, start + len(pairs)),
        prompt_tokens=int(meta.get("prompt_tokens", 0)),
        cached_tokens=int(meta.get("cached_tokens", 0)),
    )


def _versions(meta: dict[str, Any], start: int, end: int) -> list[tuple[int, str]]:
    """Version spans that cover the tokens from `start` to `end`, counted from `start`."""
    spans = meta.get("weight_versions") or [{"start": 0, "version": meta.get("weight_version") or "default"}]
    starts = [(int(span["start"]), str(span["version"])) for span in spans]
    ends = [at for at, _ in starts[1:]] + [max(end, starts[-1][0] + 1)]
    return [
        (max(at - start, 0), name)
        for (at, name), until in zip(starts, ends)
        if until > start and (at < end or start == end == at == 0)
    ]
