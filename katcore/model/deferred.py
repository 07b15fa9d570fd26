"""Parts of torch that transformers imports for marks alone, left out until something really uses them.

transformers decorates functions for torch's compiler, and looks whether tensors are shared out between processes: that
takes `torch._dynamo` and `torch.distributed.tensor`, sympy and ONNX with them, a third of what a process needs until it
has a model. In: nothing; call `defer` before transformers is imported. Out: a `torch._dynamo` that takes marks and
ignores them, and becomes the real one at the first other use: functions marked until then are plain to the compiler.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, MutableSequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

_DYNAMO = "torch._dynamo"
_INDEXED = f"{_DYNAMO}._trace_wrapped_higher_order_op"
_MARKS = frozenset({"disable", "allow_in_graph", "assume_constant_result", "disallow_in_graph", "mark_static_address"})


def defer() -> None:
    """Leave them out of this process, where they are not imported yet; may be called again."""
    if _DYNAMO in sys.modules or "transformers.modeling_utils" in sys.modules:
        return
    import torch

    indexed = ModuleType(_INDEXED)
    indexed.TransformGetItemToIndex = _indexed  # type: ignore[attr-defined]
    stand_in = _Deferred(_DYNAMO)
    sys.modules |= {_DYNAMO: stand_in, _INDEXED: indexed}
    torch._dynamo = stand_in  # type: ignore[assignment]
    sys.meta_path.insert(0, _Finder())
    if os.environ.get("WORLD_SIZE", "1") in ("", "1"):
        from transformers import utils
        from transformers.utils import import_utils

        for module in (utils, import_utils):
            module.is_torch_distributed_available = _alone


def _alone() -> bool:
    return False


def _unmarked(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    """A function as it is; without one, what leaves a function as it is."""
    return (lambda marked: marked) if function is None else function


def _indexed() -> Any:
    _real()
    return importlib.import_module(_INDEXED).TransformGetItemToIndex()


class _Deferred(ModuleType):
    """`torch._dynamo` for as long as nobody compiles."""

    __path__: MutableSequence[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in _MARKS:
            return _unmarked
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(), name)


class _Finder(MetaPathFinder):
    """Makes way for the real package when one of its modules is imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(f"{_DYNAMO}.") or not isinstance(sys.modules.get(_DYNAMO), _Deferred):
            return None
        _real()
        return spec_from_loader(name, _Made(importlib.import_module(name)))


class _Made(Loader):
    """Gives a module that is imported already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _real() -> ModuleType:
    """The real package, in the stand-in's place from now on."""
    import torch

    if isinstance(sys.modules.get(_DYNAMO), _Deferred):
        for name in (_DYNAMO, _INDEXED):
            sys.modules.pop(name, None)
        torch.__dict__.pop("_dynamo", None)
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    return importlib.import_module(_DYNAMO)
