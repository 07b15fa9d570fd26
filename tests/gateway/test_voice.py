"""The effort that an agent asks for reaches a template that has a word for it, where the agent's sampling stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from katcore.gateway.server import Gateway
from katcore.gateway.voice import variables
from tests.support.chat_models import model
from tests.support.gateway_fakes import FakeEngine, opened, say
from tests.support.posted import PATHS, posted

# As Qwen3's: a switch in what opens the turn. As gpt-oss': a level at the head.
SWITCHED = """{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""
LEVELLED = """{{- '<|im_start|>system\\nReasoning: ' + (reasoning_effort or 'medium') + '<|im_end|>\\n' }}
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
USER = {"role": "user", "content": "Fix it."}


def prompts(gateway: Gateway, folder: Path, template: str, own: bool, *bodies: tuple[str, dict[str, Any]]) -> list[str]:
    """The prompts that the engine saw, in a session whose tree stays exact."""
    engine = FakeEngine(lambda n: "Yes.", chat=model(folder, template))
    session = opened(gateway, engine, folder.name, agent_sampling=own)
    for dialect, body in bodies:
        whole = {"messages": [USER], "input": "Fix it.", "max_tokens": 9, **body}
        assert posted(session, PATHS[dialect], whole)[0] == 200
    gateway.close_session(session)
    return [engine.chat.decode(ids) for ids, _ in engine.seen]


ALL = (
    ("chat", {"reasoning_effort": "high"}),
    ("responses", {"reasoning": {"effort": "none"}}),
    ("messages", {"thinking": {"type": "disabled"}}),
    ("messages", {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}}),
    ("chat", {}),
)


@pytest.mark.parametrize("own", [True, False])
def test_a_switch_and_a_level_follow_the_agent_where_its_sampling_stands(
    gateway: Gateway, tmp_path: Path, own: bool
) -> None:
    off = [text.endswith("</think>\n\n") for text in prompts(gateway, tmp_path / "a", SWITCHED, own, *ALL)]
    assert off == ([False, True, True, False, False] if own else [False] * 5)
    levels = [
        text.split("Reasoning: ")[1].split("<")[0] for text in prompts(gateway, tmp_path / "b", LEVELLED, own, *ALL)
    ]
    assert levels == (["high", "none", "none", "low", "medium"] if own else ["medium"] * 5)


def test_a_conversation_at_one_effort_goes_on_and_another_begins_anew(gateway: Gateway, tmp_path: Path) -> None:
    engine = FakeEngine(lambda n: "Yes.", chat=model(tmp_path / "m", LEVELLED))
    session = opened(gateway, engine, agent_sampling=True)
    messages = [USER]
    for effort in ("high", "high", "low"):
        messages = [*messages, say(session, messages, reasoning_effort=effort), USER]
    gateway.close_session(session)
    first, second, third = (prompt for prompt, _ in engine.seen)
    assert second[: len(first)] == first and "Reasoning: low" in engine.chat.decode(third)


def test_a_template_without_such_a_word_is_given_none() -> None:
    assert variables({"messages", "tools"}, "high") == {}
    assert variables({"thinking", "reasoning_effort"}, "none") == {"thinking": False}
    assert variables({"enable_thinking", "reasoning_effort"}, "high") == {
        "enable_thinking": True,
        "reasoning_effort": "high",
    }
