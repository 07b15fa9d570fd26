"""A process that has a model without torch's compiler, and has the compiler when something asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.random_packs import tiny_model

LOADED = """
import sys
from katcore.engine.embedded import server
from katcore.model.loading import load_causal_lm
import torch
model = load_causal_lm({folder!r}, torch.float32)
out = model(torch.tensor([[1, 2, 3]])).logits
out.sum().backward()
assert "torch._inductor" not in sys.modules and "torch.onnx" not in sys.modules
assert "torch.distributed.tensor" not in sys.modules
"""
ASKED = {
    "compile": """
made = []
f = torch.compile(lambda x: x.sin() + 1, backend=lambda graph, _: made.append(graph) or graph.forward)
assert f(torch.zeros(2)).tolist() == [1.0, 1.0] and len(made) == 1, "it was compiled"
""",
    "an attribute": "assert torch._dynamo.config.recompile_limit\n",
    "a module of it": """
import torch._dynamo.utils as utils
assert torch._dynamo.utils is utils is sys.modules["torch._dynamo.utils"]
assert utils.__spec__.name == "torch._dynamo.utils" and utils.__spec__.origin
""",
    "masks by index": """
from transformers import masking_utils
with masking_utils.TransformGetItemToIndex():
    assert torch.arange(3)[torch.tensor(1)] == 1
from torch._dynamo import config
assert config.recompile_limit
""",
}


def in_a_process(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("use", ASKED)
def test_the_compiler_comes_when_it_is_used(use: str, tmp_path: Path) -> None:
    tiny_model(dtype=torch.float32).save_pretrained(tmp_path)
    real = "\nassert type(sys.modules['torch._dynamo']).__name__ == 'module' and len(vars(torch._dynamo)) > 50\n"
    in_a_process(LOADED.format(folder=str(tmp_path)) + ASKED[use] + real)
