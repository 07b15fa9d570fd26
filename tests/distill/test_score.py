"""Teachers' log-probs in packs are those of the teacher's own linear forward along each path."""

from __future__ import annotations

import json
import pickle
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from katcore import records
from katcore.distill.score import Scorer, items
from katcore.errors import InputError, RecordError, UsageError
from katcore.model.folder import load
from katcore.model.placement import Placement
from katcore.pool import Item
from katcore.records import Pack, PackSample, StepCounts
from katcore.streams import read_records
from katcore.train.init import init
from katcore.train.options import InitOptions, Optimizer, TrainOptions
from katcore.train.trainer import Trainer

EXACT = Placement(dtype="float32")
TINY = InitOptions(layers=1, hidden=32, heads=2, kv_heads=1)

#   0 ─ 1 ─ 2 ─ 3        5 ─ 6 ─ 7        two trees, a fork in each
#       └── 4                └── 8
PATHS = ([0, 1, 2, 3], [0, 1, 4], [5, 6, 7], [5, 6, 8])


def pack(**fields: Any) -> Pack:
    made = Pack(
        id="p",
        objective="opd",
        tokenizer=load(None).digest,
        tokens=[300, 301, 302, 303, 302, 310, 311, 312, 313],
        parent=[-1, 0, 1, 2, 1, -1, 5, 6, 6],
        depth=[0, 1, 2, 3, 2, 0, 1, 2, 2],
        end=[5, 5, 4, 4, 5, 9, 9, 8, 9],
        term_token=[2, 3, 4, 7, 8],
        term_sample=[0, 0, 1, 2, 3],
        term_turn=[0] * 5,
        rl_weight=[1.0, 1.0, 0.0, 1.0, 1.0],
        ce_weight=[0.0] * 5,
        kl_weight=[1.0] * 5,
        engine_logprob=[-1.0] * 5,
        samples=[PackSample(trajectory_id=str(i), group_id=f"task:{i // 2}:bash-loop:m:0") for i in range(4)],
        step_counts=StepCounts(groups=2, samples=4, turns=4, trained_tokens=5),
    )
    return msgspec.structs.replace(made, **fields)


def line(record: Pack, **extra: Any) -> bytes:
    return json.dumps(json.loads(records.encode(record)) | extra).encode()


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folders = {name: tmp_path_factory.mktemp("experts") / name for name in ("swe", "web")}
    for seed, folder in enumerate(folders.values()):
        init(folder, TINY, seed=seed)
    return {name: str(folder) for name, folder in folders.items()}


def linear(folder: str, made: Pack, temperature: float = 1.0) -> list[float]:
    """By transformers alone, a path at a time."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    found = [0.0] * len(made.tokens)
    for path in PATHS:
        ids = torch.tensor([[made.tokens[i] for i in path]])
        with torch.no_grad():
            logp = torch.log_softmax(model(ids).logits[0] / temperature, -1)
        for place, i in enumerate(path[1:]):
            found[i] = float(logp[place, made.tokens[i]])
    return found


def scorer_of(
    experts: Iterable[tuple[str, str]],
    choices: dict[str, str] | None = None,
    temperature: float = 1.0,
    placement: Placement = EXACT,
) -> Scorer:
    return Scorer(tuple(experts), choices, temperature, placement)


def scored(scorer: Scorer, raw: bytes) -> dict[str, Any]:
    (out,) = scorer(Item("kat.pack/1:p", payload=msgspec.json.decode(raw, type=Pack), raw=raw))
    found: dict[str, Any] = json.loads(out)
    return found


def test_every_expert_scores_every_token_at_its_temperature(experts: dict[str, str]) -> None:
    out = scored(scorer_of(experts.items(), temperature=0.7), line(pack(), later="kept"))
    for row, folder in zip(out["teacher_logprob"], experts.values(), strict=True):
        assert row == pytest.approx(linear(folder, pack(), 0.7), abs=1e-5)
    assert [(t["name"], t["temperature"]) for t in out["teacher"]] == [("swe", 0.7), ("web", 0.7)]
    assert len({t["version"] for t in out["teacher"]}) == 2
    assert out["later"] == "kept"
    same = {"teacher_logprob": None, "teacher": []}
    assert msgspec.convert(out | same, Pack) == pack()


def test_each_tree_is_scored_by_its_own_tasks_expert(experts: dict[str, str]) -> None:
    choices = {"task:0": "web", "task:1": "swe"}
    out = scored(scorer_of(experts.items(), choices), line(pack()))
    expected = linear(experts["web"], pack())[:5] + linear(experts["swe"], pack())[5:]
    assert out["teacher_logprob"] == [pytest.approx(expected, abs=1e-5)]
    assert [t["name"] for t in out["teacher"]] == ["swe+web"]


def test_a_copied_scorer_gives_the_same_bytes(experts: dict[str, str]) -> None:
    scorer = scorer_of(experts.items(), {"task:0": "web", "task:1": "swe"})
    first = scored(scorer, line(pack()))
    assert scored(pickle.loads(pickle.dumps(scorer)), line(pack())) == first


def test_packs_made_for_grpo_get_distillation_weights(experts: dict[str, str]) -> None:
    scorer = scorer_of(experts.items())
    assert scored(scorer, line(pack(objective="grpo", kl_weight=[0.0] * 5)))["kl_weight"] == [1, 1, 0, 1, 1]
    assert scored(scorer, line(pack(kl_weight=[0.0, 0, 0, 0, 0.5])))["kl_weight"] == [0, 0, 0, 0, 0.5]


def test_what_is_refused(experts: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("other words " * 99)
    init(tmp_path / "other", msgspec.structs.replace(TINY, text=(tmp_path / "text",), vocab=300))
    with pytest.raises(InputError, match="another tokenizer"):
        scored(scorer_of((("other", str(tmp_path / "other")),)), line(pack()))
    beyond = pack(tokens=[300, 301, 302, 303, 302, 310, 311, 312, 4096])
    with pytest.raises(InputError, match="4096 is no token id: the model has 4096 tokens"):
        scored(scorer_of(experts.items()), line(beyond))
    with pytest.raises(RecordError, match="task:1"):
        scored(scorer_of(experts.items(), {"task:0": "web"}), line(pack()))
    with pytest.raises(InputError, match="poet"):
        scorer_of(experts.items(), {"task:0": "poet"})


def test_the_student_moves_to_its_teacher(experts: dict[str, str]) -> None:
    """score → opd, a few steps: the gap to the teacher on the student's own tokens closes."""
    raw = line(pack())
    teacher = scorer_of((("web", experts["web"]),))
    student = Trainer.load(experts["swe"], TrainOptions(objective="opd", optimizer=Optimizer(lr=2e-3)))
    made = msgspec.convert(scored(teacher, raw), Pack)
    gaps = [abs(student.step([made])["teacher_gap"]) for _ in range(30)]
    assert gaps[-1] < 0.2 * gaps[0]


@pytest.mark.slow
def test_score_and_choose_as_commands(experts: dict[str, str], tmp_path: Path) -> None:
    packs, out = tmp_path / "p.jsonl", tmp_path / "scored.jsonl"
    packs.write_bytes(line(pack(), later=1) + b"\n")
    options = [f"--expert={name}={folder}" for name, folder in experts.items()]
    done = subprocess.run(["kat-distill", "score", packs, "-o", out, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (scored_line,) = list(read_records([out]))
    assert isinstance(scored_line.record, Pack) and len(scored_line.record.teacher) == 2
    assert json.loads(scored_line.raw)["later"] == 1
    assert len(list(items(read_records([out])))) == 1
    packs.write_bytes(line(pack(tokenizer="f" * 64)) + b"\n")
    done = subprocess.run(["kat-distill", "score", packs, *options], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    done = subprocess.run(["kat-distill", "choose"], input="", capture_output=True, text=True)
    assert done.returncode == 4


def test_experts_in_bfloat16_say_nearly_the_same(experts: dict[str, str]) -> None:
    given = Item("kat.pack/1:p", payload=pack(), raw=line(pack()))
    one = (("swe", experts["swe"]),)
    scores = [
        json.loads(next(iter(scorer_of(one, placement=placement)(given))))["teacher_logprob"][0]
        for placement in (EXACT, Placement("cpu", "bfloat16"))
    ]
    assert scores[1] == pytest.approx(scores[0], abs=0.1) and scores[1] != pytest.approx(scores[0], abs=1e-5)
    assert pickle.loads(pickle.dumps(scorer_of(one, placement=Placement("cpu")))).placement == Placement("cpu")


def test_experts_on_a_device_that_is_not_there(experts: dict[str, str]) -> None:
    given = Item("kat.pack/1:p", payload=pack(), raw=line(pack()))
    with pytest.raises(UsageError, match="no CUDA device"):
        next(iter(scorer_of((("swe", experts["swe"]),), placement=Placement("cuda:99"))(given)))
