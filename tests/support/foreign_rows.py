"""Rows of each format as its own project writes them, small and by hand."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

ATIF: Row = {
    "schema_version": "ATIF-v1.7",
    "session_id": "025B810F-B3A2-4C67-93C0-FE7A142A947A",
    "agent": {
        "name": "terminus-2",
        "version": "2.0.0",
        "model_name": "some-model",
        "tool_definitions": [{"type": "function", "function": {"name": "finance_search", "parameters": {}}}],
        "extra": {"parser": "json"},
    },
    "notes": "Initial.",
    "steps": [
        {"step_id": 1, "source": "system", "message": "You are helpful.", "timestamp": "2025-10-16T14:29:59Z"},
        {"step_id": 2, "source": "user", "message": "What is the price of GOOGL?"},
        {
            "step_id": 3,
            "timestamp": "2025-10-16T14:30:02Z",
            "source": "agent",
            "model_name": "some-model",
            "reasoning_effort": "low",
            "message": "I will search.",
            "reasoning_content": "Two facts are wanted.",
            "tool_calls": [
                {"tool_call_id": "call_1", "function_name": "finance_search", "arguments": {"metric": "price"}},
                {"tool_call_id": "call_2", "function_name": "finance_search", "arguments": {"metric": "volume"}},
            ],
            "observation": {
                "results": [
                    {"source_call_id": "call_1", "content": "185.35", "extra": {"score": 0.5}},
                    {"source_call_id": "call_2", "content": [{"type": "text", "text": "1.5M"}]},
                ]
            },
            "metrics": {
                "prompt_tokens": 4,
                "completion_tokens": 2,
                "cached_tokens": 1,
                "cost_usd": 0.00045,
                "prompt_token_ids": [1, 2, 3, 4],
                "completion_token_ids": [5, 6],
                "logprobs": [-0.1, -0.05],
                "extra": {"reasoning_tokens": 1},
            },
        },
        {
            "step_id": 4,
            "source": "agent",
            "message": "185.35 at a volume of 1.5M.",
            "llm_call_count": 1,
            "metrics": {
                "prompt_tokens": 8,
                "completion_tokens": 1,
                "prompt_token_ids": [1, 2, 3, 4, 5, 6, 7, 8],
                "completion_token_ids": [9],
                "logprobs": [-0.25],
            },
        },
    ],
    "final_metrics": {"total_prompt_tokens": 12, "total_cost_usd": 0.0009, "total_steps": 4},
    "subagent_trajectories": [
        {
            "schema_version": "ATIF-v1.7",
            "trajectory_id": "sub-1",
            "agent": {"name": "summarizer", "version": "1"},
            "steps": [
                {"step_id": 1, "source": "user", "message": "Sum up."},
                {"step_id": 2, "source": "agent", "message": "Summed."},
            ],
        }
    ],
}

OPENAI: Row = {
    "messages": [
        {"role": "system", "content": "You fix things."},
        {"role": "user", "content": [{"type": "text", "text": "Fix it."}], "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
            ],
            "weight": 1,
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a.py"},
        {"role": "assistant", "content": "Done."},
    ],
    "tools": [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}, "strict": True}}],
    "parallel_tool_calls": False,
}

ANTHROPIC: Row = {
    "model": "claude",
    "max_tokens": 1024,
    "system": [{"type": "text", "text": "You fix things.", "cache_control": {"type": "ephemeral"}}],
    "tools": [{"name": "bash", "description": "Run.", "input_schema": {"type": "object"}, "cache_control": None}],
    "messages": [
        {"role": "user", "content": "Fix it."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}},
                {"type": "tool_use", "id": "toolu_2", "name": "bash", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "a.py"}]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no command", "is_error": True},
                {"type": "text", "text": "Go on.", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            ],
        },
        {"role": "assistant", "content": "A picture."},
    ],
}

MINI_SWE: Row = {
    "info": {
        "model_stats": {"instance_cost": 0.35, "api_calls": 2},
        "config": {
            "agent": {"step_limit": 250, "cost_limit": 3.0},
            "agent_type": "minisweagent.agents.default.DefaultAgent",
            "model": {"model_name": "some/model", "model_kwargs": {"drop_params": True}},
            "model_type": "minisweagent.models.litellm_model.LitellmModel",
            "environment": {"image": "x", "cwd": "/testbed"},
            "environment_type": "minisweagent.environments.docker.DockerEnvironment",
        },
        "mini_version": "2.4.6",
        "exit_status": "Submitted",
        "submission": "diff --git a/x b/x\n",
    },
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "<pr_description>Fix it.</pr_description>"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"function": {"arguments": '{"command": "ls"}', "name": "bash"}, "id": "call_1", "type": "function"}
            ],
            "function_call": None,
            "extra": {
                "actions": [{"command": "ls", "tool_call_id": "call_1"}],
                "response": {
                    "choices": [{"finish_reason": "tool_calls"}],
                    "usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": None},
                },
                "cost": 0.35,
                "timestamp": 1767323045.25,
            },
        },
        {
            "content": "<returncode>0</returncode>\n<output>\na.py\n</output>",
            "extra": {"raw_output": "a.py\n", "returncode": 0, "timestamp": 1767323046.5, "exception_info": None},
            "tool_call_id": "call_1",
            "role": "tool",
        },
        {"role": "assistant", "content": "Done.", "extra": {"actions": [], "cost": 0.0, "timestamp": 1767323047.0}},
        {
            "role": "exit",
            "content": "diff --git a/x b/x\n",
            "extra": {"exit_status": "Submitted", "submission": "diff --git a/x b/x\n"},
        },
    ],
    "trajectory_format": "mini-swe-agent-1.1",
    "instance_id": "repo__1",
}

SWE_BENCH: Row = {"instance_id": "repo__1", "model_name_or_path": "some/model", "model_patch": "diff --git a/x b/x\n"}

VERIFIERS: Row = {
    "version": 1,
    "id": "0f3c",
    "verifiers": {"version": "0.3.0", "commit": "a60a606e"},
    "task": {"type": "SWETask", "data": {"idx": 3, "prompt": "Fix it."}, "key": "repo__1", "hash": "ab12"},
    "agent": {"config": {"model": "some/model", "max_turns": 20}, "runtime": None, "name": "solver", "trainable": True},
    "tools": [{"name": "bash", "description": "Run.", "parameters": {"type": "object"}, "strict": None}],
    "nodes": [
        {
            "parent": None,
            "message": {"role": "user", "content": "Fix it."},
            "sampled": False,
            "timestamp": 1767323045.0,
            "token_ids": [1, 2],
            "mask": [False, False],
            "is_content": [False, True],
            "logprobs": [],
            "advantages": None,
            "reference_logprobs": None,
            "loss_weights": None,
        },
        {
            "parent": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm.",
                "tool_calls": [{"id": "c1", "name": "bash", "arguments": '{"command":"ls"}'}],
                "provider_state": None,
            },
            "sampled": True,
            "timestamp": 1767323045.5,
            "token_ids": [3, 4, 5],
            "mask": [False, True, True],
            "is_content": [False, True, True],
            "logprobs": [-0.5, -0.25],
            "advantages": [0.5, 0.5],
            "reference_logprobs": None,
            "loss_weights": {"echo": [0.0, 1.0, 1.0]},
        },
        {
            "parent": 1,
            "message": {"role": "tool", "tool_call_id": "c1", "content": "a.py", "name": None},
            "sampled": False,
            "timestamp": 1767323046.0,
            "token_ids": [6],
            "mask": [False],
            "is_content": [True],
            "logprobs": [],
        },
        {
            "parent": 0,
            "message": {"role": "assistant", "content": "Another.", "reasoning_content": None, "tool_calls": None},
            "sampled": True,
            "timestamp": 1767323047.0,
            "token_ids": [3, 7],
            "mask": [False, True],
            "is_content": [],
            "logprobs": [-1.5],
        },
    ],
    "calls": [
        {
            "node": 1,
            "model": "some/model",
            "sampling": {"temperature": 0.5, "max_tokens": 100},
            "endpoint": "/chat/completions",
            "finish_reason": "tool_calls",
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cached_input_tokens": 2, "cost": 0.1},
            "time": {"start": 1767323045.0, "end": 1767323045.5},
            "error": None,
            "policy": None,
        },
        {
            "node": None,
            "model": "some/model",
            "finish_reason": None,
            "usage": None,
            "time": {"start": 1767323046.0, "end": 1767323046.25},
            "error": {"type": "ProviderError", "message": "busy", "status_code": 503, "traceback": None},
        },
    ],
    "rewards": {"tests": {"score": 1.0, "weight": 1.0}, "style": {"score": 0.5, "weight": 0.2}, "judge": None},
    "metrics": {"turns": 1.0, "missing": None},
    "info": {"repo": "x"},
    "extra_usage": [],
    "is_completed": True,
    "ok": True,
    "stop_condition": "max_turns",
    "errors": [],
    "timing": {"start": 1767323044.0, "boot": {"start": 1.0, "end": 2.0}},
}

ROWS: dict[str, Row] = {
    "atif": ATIF,
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "mini-swe-agent": MINI_SWE,
    "swe-bench": SWE_BENCH,
    "verifiers": VERIFIERS,
}
