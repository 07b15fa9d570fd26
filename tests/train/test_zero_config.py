"""What kat-train fills into a DeepSpeed file, what it leaves alone, and what contradicts it; packs dealt by cost."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from katcore.errors import InputError, KatError, UsageError
from katcore.train.batch import PackRow, Step
from katcore.train.options import Optimizer
from katcore.train.world import Costs, World, shares
from katcore.train.zero_config import filled, read_deepspeed
from tests.support.random_packs import make_pack

WANTED = Optimizer(lr=3e-4, weight_decay=0.1, grad_clip=0.5)


def test_what_is_missing_or_auto_is_filled_in() -> None:
    auto = {"train_batch_size": "auto", "gradient_clipping": "auto", "bf16": {"enabled": "auto"}}
    auto |= {"optimizer": {"type": "AdamW", "params": {"lr": "auto"}}, "zero_optimization": {"stage": 2}}
    for table in ({"zero_optimization": {"stage": 2}}, auto):
        before = json.dumps(table)
        made = filled(table, WANTED, 4, True, 64)
        assert json.dumps(table) == before
        assert made["train_batch_size"] == 4 and made["train_micro_batch_size_per_gpu"] == 1
        assert made["gradient_accumulation_steps"] == 1 and made["gradient_clipping"] == 0.5
        params = {"lr": 3e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "torch_adam": True}
        assert made["optimizer"] == {"type": "AdamW", "params": params}
        assert made["bf16"]["enabled"] and made["data_types"]["grad_accum_dtype"] == "fp32"


def test_what_kat_train_has_no_opinion_on_passes_through() -> None:
    zero = {"stage": 3, "offload_optimizer": {"device": "cpu"}, "reduce_bucket_size": "auto", "overlap_comm": False}
    made = filled({"zero_optimization": zero, "wall_clock_breakdown": True}, WANTED, 2, False, 64)
    assert made["zero_optimization"] == zero | {"reduce_bucket_size": 4096}
    assert made["wall_clock_breakdown"] is True
    assert made["optimizer"]["params"]["torch_adam"] is False  # states on the CPU: DeepSpeed's own AdamW


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"gradient_accumulation_steps": 8}, "gradient_accumulation_steps = 8"),
        ({"gradient_clipping": 1.0}, "gradient_clipping = 1.0"),
        ({"bf16": {"enabled": True}}, "bf16.enabled = true"),
        ({"fp16": {"enabled": True}}, "fp16"),
        ({"scheduler": {"type": "WarmupLR"}}, "--schedule"),
        ({"optimizer": {"type": "AdamW", "params": {"lr": 1e-5}}}, "optimizer.params.lr"),
        ({"optimizer": {"type": "Lion"}}, "Lion"),
        ({"zero_optimization": {"stage": 0}}, "stage = 0"),
        ({"sequence_parallel_size": 4}, "sequence_parallel_size"),
    ],
)
def test_a_contradiction_is_one_line_that_names_the_key(table: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        filled(table, WANTED, 2, False, 64)


@pytest.mark.parametrize(("text", "kind"), [(None, UsageError), ("{", InputError), ("[]", InputError)])
def test_a_file_that_is_none(tmp_path: Path, text: str | None, kind: type[KatError]) -> None:
    path = tmp_path / "ds.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(kind, match=r"ds\.json"):
        read_deepspeed(path)


def test_packs_are_dealt_by_cost_and_not_by_count() -> None:
    rows = tuple(PackRow.of(make_pack(seed, trees=trees)[0]) for seed, trees in enumerate((1, 1, 1, 9, 1, 1)))
    step = Step(rows, rows[0].counts)
    costs = Costs(token=1.0, pair=0.1)
    dealt = shares(step, costs, 2)
    assert sorted(row for each in dealt for row in each) == list(range(6))
    assert sorted(map(len, dealt)) == [1, 5]  # the large one alone
    assert [costs.row(rows[row]) for row in dealt[1]] == sorted(
        (costs.row(rows[row]) for row in dealt[1]), reverse=True
    )


def test_cost_of_a_model_is_what_its_products_take() -> None:
    config = SimpleNamespace(hidden_size=8, num_hidden_layers=2, num_attention_heads=4, head_dim=2, vocab_size=100)
    assert Costs.of(config) == Costs(token=2 * 12 * 64 + 800, pair=2 * 2 * 4 * 2)


def test_alone_a_world_says_what_it_is_told() -> None:
    world = World()
    assert world.first and world.all_gather(3) == [3] and list(world.stream(iter([1, 2]))) == [1, 2]
    assert world.broadcast(lambda: "x") == "x"
