"""Stands in for a package that needs CUDA: everything in it can be imported, nothing in it can be called.

`scripts/sglang/install` copies it to where the package would be, under that name.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence

__version__ = "0.4.10"


class Absent:
    """Something that is not there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: object, **kwargs: object) -> object:
        raise NotImplementedError(f"{self.name} needs CUDA")

    def __getattr__(self, name: str) -> "Absent":
        return _absent(f"{self.name}.{name}")


def _absent(name: str) -> Absent:
    if name.rpartition(".")[2].startswith("__"):
        raise AttributeError(name)
    return Absent(name)


def _attributes(module: str) -> Callable[[str], Absent]:
    return lambda name: _absent(f"{module}.{name}")


class _Submodules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.startswith(__name__ + ".") else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__getattr__ = _attributes(spec.name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing to run."""


sys.meta_path.append(_Submodules())
__getattr__ = _attributes(__name__)
