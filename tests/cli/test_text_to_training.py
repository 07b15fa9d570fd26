"""Text samples, a teacher's text and exact trajectories in one stream, from records to a step of training."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from katcore.model.folder import load
from katcore.records import Node, Sample, Scaffold, Trajectory, Verdict, encode

pytestmark = pytest.mark.slow

PIPE = (
    "cat mixed.jsonl | kat-pack-trie --for sft --model {model}"
    " | kat-train --objective sft --model {model} --out M2 --max-steps 1"
)
QUESTION = {"role": "user", "content": "Name the bug."}


def trajectory(name: str, nodes: list[Node]) -> Trajectory:
    return Trajectory(
        id=name, task_id=name, group_id=name, scaffold=Scaffold(name="x"), model="m", nodes=nodes,
        verdict=Verdict(reward=1.0, passed=True), tokenizer=load().digest if nodes[0].token_ids else "",
    )  # fmt: skip


def mixed(folder: Path) -> None:
    """The three kinds of record, written to mixed.jsonl."""
    chat = load()
    answer = {"role": "assistant", "content": "An off-by-one."}
    exact = [
        Node(id=0, role="user", message=QUESTION, token_ids=chat.encode_prompt([QUESTION])),
        Node(id=1, parent=0, role="assistant", token_ids=chat.encode_completion(answer), sampled=[(0, 3)]),
    ]
    text = [Node(id=0, role="user", message=QUESTION), Node(id=1, parent=0, role="assistant", message=answer)]
    records = [
        Sample(id="chat", messages=[QUESTION, answer], weight=0.5),
        trajectory("exact", exact),
        Sample(id="plain", text="def f():\n    return 1\n", loss_spans=[(9, 22)]),
        trajectory("teacher", text),
    ]
    (folder / "mixed.jsonl").write_bytes(b"".join(encode(record) + b"\n" for record in records))


def test_one_step_on_all_three_kinds(tmp_path: Path, model: Path) -> None:
    mixed(tmp_path)
    line = PIPE.format(model=model)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (metrics,) = [json.loads(line) for line in (tmp_path / "M2" / "metrics.jsonl").read_text().splitlines()]
    assert metrics["tokens_trained"] == trained()
    assert metrics["loss"] == pytest.approx(expected_loss(model), rel=1e-4)


def trained() -> int:
    """Answer and stop token of the chat and of the teacher, three tokens of the exact one, and those in the span."""
    chat = load()
    answer = chat.encode("An off-by-one.<|im_end|>")
    return 2 * len(answer) + 3 + len(span(chat.encode("def f():\n    return 1\n")))


def span(ids: list[int]) -> list[int]:
    """The places of the tokens that begin at or after character 9."""
    chat, at, found = load(), 0, []
    for place, token in enumerate(ids):
        if at >= 9:
            found.append(place)
        at += len(chat.decode([token]))
    return found


def expected_loss(folder: Path) -> float:
    """The weighted mean over all trained tokens, each record in a forward of its own."""
    chat, lm = load(), AutoModelForCausalLM.from_pretrained(folder).eval()
    prompt = chat.encode("<|im_start|>user\nName the bug.<|im_end|>\n<|im_start|>assistant\n")
    answer, text = chat.encode("An off-by-one.<|im_end|>"), chat.encode("def f():\n    return 1\n")
    reply = list(range(len(prompt), len(prompt) + len(answer)))
    total, count = 0.0, 0
    for ids, places, weight in (
        (prompt + answer, reply, 0.5),
        (prompt + answer, reply[:3], 1.0),
        (text, span(text), 1.0),
        (prompt + answer, reply, 1.0),
    ):
        with torch.no_grad():
            scores = lm(torch.tensor([ids])).logits[0].log_softmax(-1)
        total -= weight * sum(float(scores[i - 1, ids[i]]) for i in places)
        count += len(places)
    return total / count
