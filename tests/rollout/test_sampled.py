"""Rollouts that are really sampled: the embedded engine over a small model, in real boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from katcore.errors import InputError, UsageError
from katcore.records import Trajectory
from katcore.rollout.roller import rollouts
from katcore.rollout.service import Service
from tests.support.options import but, setup
from tests.support.rollout_tasks import task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights and KAT's tokenizer."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from katcore.model.folder import load

    folder = tmp_path_factory.mktemp("policy") / "tiny"
    config = Qwen3Config(
        vocab_size=4096, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=1024, tie_word_embeddings=True, eos_token_id=2,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(folder)
    load().save(folder)
    return folder


def sampled(trajectory: Trajectory) -> list[list[int]]:
    return [(node.token_ids or [])[start:end] for node in trajectory.nodes for start, end in node.sampled]


def test_sampled_tokens_carry_log_probs_and_versions_and_depend_on_seed_alone(model: Path) -> None:
    options = setup(model=model, samples=3, max_turns=2, max_completion=12, timeout=120)
    service = Service(options)
    try:
        made = list(rollouts([task()], options, service, jobs=3))
        again = list(rollouts([task()], options, service, jobs=1))
        other = list(rollouts([task()], replace(options, seed=1), service))
        service.update_weights(str(model), "step-1")
        later = list(rollouts([task()], but(options, attempt=1), service))
    finally:
        service.close()
    assert [sampled(t) for t in made] == [sampled(t) for t in again]
    assert len({str(sampled(t)) for t in made}) == 3 and sampled(made[0]) != sampled(other[0])
    for trajectory in made + later:
        nodes = [node for node in trajectory.nodes if node.sampled]
        assert nodes and all(node.origin == "engine" for node in nodes)
        assert all(len(node.engine_logprobs or []) == end - start for node in nodes for start, end in node.sampled)
        assert all(value <= 0 for node in nodes for value in node.engine_logprobs or [])
    assert {v for t in later for node in t.nodes for _, v in node.versions} == {"step-1"}
    assert made[0].model == "tiny" and made[0].calls[0].engine == "tiny"
    assert not {t.id for t in made} & {t.id for t in later}


def test_another_tokenizer_than_the_engines_is_exit_4(model: Path, tmp_path: Path) -> None:
    from katcore.model.folder import load

    other = tmp_path / "other"
    load().save(other)
    (other / "chat_template.jinja").write_text((other / "chat_template.jinja").read_text() + "{# another #}")
    with pytest.raises(InputError, match="another tokenizer"):
        Service(setup(engine=f"embedded:{model}", model=other))


def test_the_engine_runs_where_the_options_say(model: Path) -> None:
    options = setup(
        model=model, max_turns=1, max_completion=6, timeout=60, engine_device="cpu", engine_dtype="bfloat16"
    )
    (made,) = rollouts([task()], options)
    values = [value for node in made.nodes for value in node.engine_logprobs or []]
    assert values and values != torch.tensor(values).bfloat16().float().tolist()
    with pytest.raises(UsageError, match="no CUDA device"):
        Service(setup(model=model, engine_device="cuda:99"))


def test_the_model_folders_context_is_the_cap(model: Path) -> None:
    of = task()
    of.problem_statement = "word " * 2000
    (made,) = rollouts([of], setup(model=model, timeout=60))
    assert made.exit.kind == "context"
