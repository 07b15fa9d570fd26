"""Samples and attempts whose content or tokens cannot be trained on: dead letters beside good ones, never nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore.errors import RecordError
from katcore.model.folder import load
from katcore.pack_trie.stream import items
from katcore.records import Pack, Sample, Trajectory, Verdict, encode
from katcore.streams import read_records
from tests.support.chat_models import model
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
GOOD = Sample(id="ok", messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}])
IMAGE = [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "q"}]


def asked(content: Any, **fields: Any) -> Sample:
    return Sample(id="odd", messages=[{"role": "user", "content": content, **fields}, *GOOD.messages[1:]])


def packed(tmp_path: Path, objective: str, *records: Sample | Trajectory) -> tuple[list[Pack], list[Any], int]:
    """Packs, dead letters and the exit status of the real command."""
    source, out, dead = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "dead.jsonl"
    source.write_bytes(b"".join(encode(record) + b"\n" for record in records))
    done = subprocess.run(
        ["kat-pack-trie", "--for", objective, source, "-o", out, "--dead-letter", dead],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "internal" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    found = [line.record for line in read_records([out], (Pack,))] if out.exists() else []
    return found, [json.loads(line) for line in dead.read_text().splitlines()], done.returncode  # type: ignore[return-value]


@pytest.mark.parametrize(
    "odd, why",
    [
        (asked(["a", "b"]), "message 0: a part of its content is no object"),
        (asked(IMAGE), "message 0: its content has a part of type 'image_url'"),
        (asked("q", tools="[1]"), "its tools are no list of objects"),
    ],
)
def test_content_that_is_no_text_is_a_dead_letter_beside_good_ones(odd: Sample, why: str, tmp_path: Path) -> None:
    packs, (letter,), code = packed(tmp_path, "sft", GOOD, odd)
    assert code == 3 and [sample.trajectory_id for pack in packs for sample in pack.samples] == ["ok"]
    assert (letter["id"], letter["line"], letter["stage"]) == ("odd", 2, "render") and why in letter["error"]


def made(*records: Sample | Trajectory, objective: str = "sft", **options: Any) -> list[Any]:
    return [item.payload for item in items(lines(*records), pack_options(objective=objective), **options)]


@pytest.mark.parametrize(
    "odd, why",
    [
        (asked(7), "neither text nor a list"),
        (asked("q", tools="{"), "its tools are text that is no JSON"),
        (Sample(id="odd", messages=[{"role": 3, "content": "q"}, *GOOD.messages[1:]]), "message 0"),
        (Sample(id="odd", messages=[*GOOD.messages, {"role": "assistant", "content": IMAGE}]), "message 2"),
        (Sample(id="odd", messages=[*GOOD.messages[:1], GOOD.messages[1] | {"weight": 0.5}]), "neither 0 nor 1"),
        (Sample(id="odd", messages=[*GOOD.messages[:1], GOOD.messages[1] | {"tool_calls": "[]"}]), "tool_calls"),
        (msgspec.structs.replace(GOOD, id="odd", weight=1e39), "its weight 1e+39 is not between"),
    ],
)
def test_what_cannot_be_rendered_is_said(odd: Sample, why: str) -> None:
    first, second = made(odd, GOOD)
    assert isinstance(first, RecordError) and why in first.reason
    assert isinstance(second, Pack) and [sample.trajectory_id for sample in second.samples] == ["ok"]


def test_tools_as_json_text_render_as_the_list_does() -> None:
    first, second = made(asked("q", tools=json.dumps(TOOLS)), objective="sft"), made(asked("q", tools=TOOLS))
    assert first[0].tokens == second[0].tokens
    assert '"name": "f"' in load().decode(first[0].tokens)


def test_a_role_that_the_template_passes_over_is_refused(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m.role in ('user', 'assistant', 'note') %}<|im_start|>{{ m.role }}\n"
        "{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    chat = model(tmp_path / "M", template)
    human = Sample(id="odd", messages=[{"role": "human", "content": "hi"}, *GOOD.messages[1:]])
    note = Sample(id="note", messages=[{"role": "note", "content": "hi"}, *GOOD.messages[1:]])
    first, second = made(human, note, chat=chat)
    assert isinstance(first, RecordError) and first.reason == "message 0: the chat template has no role 'human'"
    assert isinstance(second, Pack)


def test_a_mistake_over_one_record_does_not_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    from katcore.pack_trie.render import Renderer

    right = Renderer.sample

    def wrong(self: Renderer, sample: Sample) -> Any:
        return right(self, sample) if sample.id == "ok" else 1 // 0

    monkeypatch.setattr(Renderer, "sample", wrong)
    first, second = made(asked("q"), GOOD)
    assert isinstance(first, RecordError) and "ZeroDivisionError" in first.reason and isinstance(second, Pack)


# --------------------------------------------------------------------------------------------------------- tokens


def drawn(first: int = 5, last: int = 8, **fields: Any) -> Trajectory:
    return attempt([node(0, None, [5, first]), node(1, 0, [7, last], True, **fields)])


ODD_TOKENS = {
    "a negative token": (drawn(first=-100), "node 0: -100 is no token id"),
    "a log-prob that 32 bits do not hold": (drawn(engine_logprobs=[-1e39, -1.0]), "node 1: -1e+39 is no log-prob"),
    "a probability above one": (drawn(engine_logprobs=[3.0, -1.0]), "node 1: 3 is no log-prob"),
    "a reward that is no number to compare": (
        msgspec.structs.replace(drawn(), verdict=Verdict(reward=1e300)), "1e+300 is too large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("odd, why", ODD_TOKENS.values(), ids=ODD_TOKENS)
def test_odd_tokens_are_a_dead_letter(odd: Trajectory, why: str, tmp_path: Path) -> None:
    odd = msgspec.structs.replace(odd, id="odd", group_size=3)
    good = [attempt(drawn().nodes, sample, size=3, reward=float(sample)) for sample in (0, 1)]
    packs, (letter,), code = packed(tmp_path, "grpo", odd, *good)
    assert code == 3 and (letter["id"], letter["line"]) == ("odd", 1) and why in letter["error"]
    assert len(packs) == 1 and {sample.trajectory_id for sample in packs[0].samples} == {"g0", "g1"}


def test_a_token_beyond_the_vocabulary_is_refused_where_the_model_is_known(tmp_path: Path) -> None:
    chat = model(tmp_path / "M", None)
    (tmp_path / "M" / "config.json").write_text('{"vocab_size": 5000}')
    known = {"tokenizer": chat.digest}
    records = [attempt(drawn(last=token).nodes, id=str(token), size=1, **known) for token in (4999, 5000)]
    (refused,) = [found for found in made(*records, chat=load(tmp_path / "M")) if not isinstance(found, Pack)]
    assert refused.reason == "5000 is no token id: the model has 5000 tokens"
    assert all(isinstance(pack, Pack) for pack in made(*records)), "nobody knows whose tokens these are"
