"""Small chat templates that write what the families' own templates write: their markers, their calls, their habits.

Qwen3 drops the thinking of turns before the last question, Qwen3-Coder writes one tag a parameter, GLM ends a turn with
the next one's opening, DeepSeek has markers of its own and takes arguments as text.
"""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers

from katcore.model.folder import ChatModel, load
from katcore.model.tokenizer import SMALL

QWEN3 = """{%- set ns = namespace(last=-1) %}
{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}
{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' }}{%- for t in tools %}{{- t | tojson + '\\n' }}{%- endfor %}
{{- '<|im_end|>\\n' }}{%- endif %}
{%- for m in messages %}
{%- if m.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
{{- '\\n<tool_response>\\n' + m.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- elif m.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}
{%- if m.reasoning_content and loop.index0 > ns.last %}
{{- '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
{{- m.content }}{%- for c in m.tool_calls or [] %}
{{- '\\n' if m.content or not loop.first }}{{- '<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' }}
{{- c.function.arguments | tojson + '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}
{%- else %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

CODER = """{%- if tools %}{{- '<|im_start|>system\\n' + tools | tojson + '<|im_end|>\\n' }}{%- endif %}
{%- for m in messages %}{%- if m.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user\\n' }}{%- endif %}
{{- '<tool_response>\\n' + m.content + '\\n</tool_response>\\n' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- elif m.role == 'assistant' %}{{- '<|im_start|>assistant\\n' + m.content }}
{%- for c in m.tool_calls or [] %}
{{- '\\n' if m.content or not loop.first }}{{- '<tool_call>\\n<function=' + c.function.name + '>\\n' }}
{%- for k, v in c.function.arguments | items %}
{{- '<parameter=' + k + '>\\n' }}{{- v if v is string else v | tojson }}{{- '\\n</parameter>\\n' }}
{%- endfor %}{{- '</function>\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}
{%- else %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""

GLM = """[gMASK]<sop>
{%- if tools %}{{- '<|system|>\\n' + tools | tojson }}{%- endif %}
{%- set ns = namespace(last=-1) %}
{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}
{%- for m in messages %}{%- if m.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|observation|>' }}{%- endif %}
{{- '\\n<tool_response>\\n' + m.content + '\\n</tool_response>' }}
{%- elif m.role == 'assistant' %}{{- '<|assistant|>' }}
{{- '\\n<think>' + (m.reasoning_content or '' if loop.index0 > ns.last else '') + '</think>' }}
{{- '\\n' + m.content.strip() if m.content.strip() else '' }}
{%- for c in m.tool_calls or [] %}{{- '\\n<tool_call>' + c.function.name }}
{%- for k, v in c.function.arguments.items() %}
{{- '\\n<arg_key>' + k + '</arg_key>\\n<arg_value>' }}{{- v if v is string else v | tojson }}{{- '</arg_value>' }}
{%- endfor %}{{- '\\n</tool_call>' }}{%- endfor %}
{%- else %}{{- '<|' + m.role + '|>\\n' + m.content }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"""

DEEPSEEK = """{{- bos_token }}{%- set ns = namespace(user=false) %}
{%- for m in messages %}{%- if m.role == 'system' %}{{- m.content }}{%- endif %}{%- endfor %}
{%- for m in messages %}
{%- if m.role == 'user' %}{%- set ns.user = true %}{{- '<｜User｜>' + m.content }}
{%- elif m.role == 'assistant' %}{%- if ns.user %}{{- '<｜Assistant｜></think>' }}{%- endif %}{%- set ns.user = false %}
{{- m.content }}{%- for c in m['tool_calls'] or [] %}
{%- if loop.first %}{{- '<｜tool▁calls▁begin｜>' }}{%- endif %}
{{- '<｜tool▁call▁begin｜>' + c['function']['name'] + '<｜tool▁sep｜>' + c['function']['arguments'] }}
{{- '<｜tool▁call▁end｜>' }}{%- if loop.last %}{{- '<｜tool▁calls▁end｜>' }}{%- endif %}
{%- endfor %}{{- '<｜end▁of▁sentence｜>' }}
{%- elif m.role == 'tool' %}{%- set ns.user = false %}
{{- '<｜tool▁output▁begin｜>' + m.content + '<｜tool▁output▁end｜>' }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt and ns.user %}{{- '<｜Assistant｜></think>' }}{%- endif %}"""

_DEEPSEEK_TOKENS = "｜begin▁of▁sentence ｜end▁of▁sentence ｜User ｜Assistant ｜tool▁calls▁begin ｜tool▁calls▁end"
_DEEPSEEK_TOKENS += " ｜tool▁call▁begin ｜tool▁call▁end ｜tool▁sep ｜tool▁output▁begin ｜tool▁output▁end"
FAMILIES: dict[str, tuple[str, list[str], list[str]]] = {
    "qwen3": (QWEN3, [], ["<|im_end|>"]),
    "coder": (CODER, [], ["<|im_end|>"]),
    "glm": (
        GLM,
        ["[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"],
        ["<|endoftext|>", "<|user|>", "<|observation|>"],
    ),
    "deepseek": (DEEPSEEK, [f"<{name}｜>" for name in _DEEPSEEK_TOKENS.split()], ["<｜end▁of▁sentence｜>"]),
}


def family(name: str, folder: Path) -> ChatModel:
    """A model folder of that family: KAT's small vocabulary with the family's own tokens, its stops, its template."""
    template, tokens, stops = FAMILIES[name]
    backend = tokenizers.Tokenizer.from_str((SMALL / "tokenizer.json").read_text(encoding="utf-8"))
    backend.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in tokens])
    folder.mkdir()
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    config = {"eos_token": stops[0], "bos_token": "<｜begin▁of▁sentence｜>" if name == "deepseek" else "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    ids = [backend.token_to_id(stop) for stop in stops]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return load(folder)
