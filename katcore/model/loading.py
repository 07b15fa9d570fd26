"""A transformers causal LM from a model folder, whole or not at all.

In: a folder. Out: the module on the CPU. transformers fills in random numbers for a tensor that is missing, passes over
one that it does not know, and takes values that are no numbers: here each is an InputError that names the tensor.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - only code that runs a model imports this module
from safetensors import SafetensorError

from katcore.errors import InputError
from katcore.model.deferred import defer
from katcore.model.weight_files import check_files

_LOADING = threading.Lock()
"""transformers loads one model at a time: it keeps what is being loaded in globals."""
_OF_A_FOLDER = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What transformers raises over a folder that it cannot load."""


def load_config(folder: str | Path) -> Any:
    """The configuration of a model folder. InputError where there is none that transformers knows."""
    defer()
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except _OF_A_FOLDER as reason:
        raise _cannot(folder, reason) from None


def load_causal_lm(folder: str | Path, dtype: torch.dtype) -> Any:
    """The model of a folder. InputError for files that are cut short, for tensors that are missing, unknown, of another
    shape or not finite."""
    defer()
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    check_files(folder)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with _LOADING:
            model, info = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except _OF_A_FOLDER as reason:
        raise _cannot(folder, reason) from None
    finally:
        logging.set_verbosity(verbosity)
    if problem := _problem(model, info):
        raise InputError(f"{folder}: {problem}", hint="the weights do not go with config.json, or are damaged")
    return model


def _problem(model: Any, info: dict[str, Any]) -> str:
    """What is wrong with the weights that were loaded; empty when nothing is."""
    for name, given, wanted in sorted(info["mismatched_keys"]):
        return f"{name} has shape {list(given)}, the model's has {list(wanted)}"
    for names, what in ((info["missing_keys"], "is missing"), (info["unexpected_keys"], "is no weight of this model")):
        if names:
            return f"{min(names)} {what}" + (f" (the first of {len(names)})" if len(names) > 1 else "")
    for name, tensor in model.named_parameters():
        if not bool(tensor.detach().sum(dtype=torch.float32).isfinite()) and not bool(tensor.isfinite().all()):
            return f"{name} holds values that are no numbers"
    return ""


def _cannot(folder: str | Path, reason: Exception) -> InputError:
    return InputError(f"{folder}: cannot load the model: {str(reason).partition(chr(10))[0]}")
