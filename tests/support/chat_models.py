"""Model folders for the tests of rendering: the small tokenizer, and templates that do what others' do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from katcore.model.folder import ChatModel, load
from katcore.model.tokenizer import SMALL

# The thinking of a turn is shown only after the last user's message: an earlier turn is written anew without it.
FORGETFUL = """
{%- set last = namespace(user=-1) %}
{%- for m in messages %}{% if m.role == 'user' %}{% set last.user = loop.index0 %}{% endif %}{% endfor %}
{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\\n' }}
    {%- if m.role == 'assistant' and m.reasoning_content and loop.index0 > last.user %}
        {{- '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- m.content }}
    {%- for call in m.tool_calls or [] %}
        {{- '<tool_call>\\n{"name": "' + call.function.name + '"}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""

# A turn ends where the next message begins: the token that opens it is the stop token.
OPEN_ENDED = """
{%- if tools %}{{- '<|system|>\\n' + tools | tojson }}{% endif %}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {{- '<|assistant|>\\n' + m.content }}
        {%- for call in m.tool_calls or [] %}{{- '\\n' + call.function.name }}{% endfor %}
    {%- elif m.role == 'tool' %}
        {{- '<|observation|>\\n' + m.content }}
    {%- else %}
        {{- '<|' + m.role + '|>\\n' + m.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}
"""
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")

# No special token anywhere, and a prompt that ends in white space.
BARE = """
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {{- 'Answer: ' + m.content + '\\n' }}
    {%- else %}
        {{- 'Question: ' + m.content + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'Answer: ' }}{% endif %}
"""

# Thinking is opened for the model, and a message without any is written without the opening.
THINKING = """
{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\\n' }}
    {%- if m.reasoning_content %}{{- '<think>\\n' + m.reasoning_content + '\\n</think>' }}{% endif %}
    {{- m.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{% endif %}
"""


def model(
    folder: Path,
    template: str | None,
    added: tuple[str, ...] = (),
    eos: str | None = "<|im_end|>",
    stops: tuple[str, ...] = (),
    **flags: bool,
) -> ChatModel:
    """A folder with the small tokenizer, more special tokens, and this template."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SMALL / "tokenizer.json", folder / "tokenizer.json")
    plain = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False) | {"special": True} | flags
    entries = {str(4096 + i): {"content": text, **plain} for i, text in enumerate(added)}
    config: dict[str, Any] = {"added_tokens_decoder": entries} | ({"eos_token": eos} if eos else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    ids = [4096 + added.index(stop) for stop in stops]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return load(folder)
