"""Experts' log-probs of the student's own tokens, added to packs (method.md § 8).

In: packs, model folders of experts, and, where there are several, the choice of an expert for each task. Out: the same
packs with `teacher_logprob` and `teacher` filled; every other byte stays. An expert runs once over each tree that it
teaches, without a gradient. The update is `kat-train --objective opd`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from katcore.errors import InputError, RecordError, UsageError
from katcore.model.placement import Placement
from katcore.pool import Item
from katcore.records import Pack, PackSample, Task, Teacher, key_of
from katcore.streams import Line, splice

if TYPE_CHECKING:
    from katcore.model.tree_lm import Forest, TreeLM


def items(lines: Iterable[Line]) -> Iterator[Item]:
    """An item a pack; tasks pass through."""
    for line in lines:
        if isinstance(line.record, Task):
            yield Item(key_of(line.record), shard=line.record.instance_id, forward=line.raw)
        elif isinstance(line.record, Pack):
            yield Item(key_of(line.record), payload=line.record, raw=line.raw, line=line.number, source=line.source)


@dataclass(frozen=True)
class Scorer:
    """Scores packs. `experts` are (name, model folder); `choices` maps task ids to names.

    Without choices, every expert scores every token: a row of `teacher_logprob` each. With them there is one row, in
    which each tree was scored by its own task's expert. All experts run at `placement`.
    """

    experts: tuple[tuple[str, str], ...]
    choices: Mapping[str, str] | None
    temperature: float
    placement: Placement
    backend: str = "auto"
    _models: dict[str, Model] = field(default_factory=dict, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [name for name, _ in self.experts]
        if not names or len(set(names)) != len(names):
            raise UsageError("experts need a name each", hint="--expert NAME=DIR, once for each")
        unknown = sorted(set((self.choices or {}).values()) - set(names))
        if unknown:
            raise InputError(f"the choice names {', '.join(unknown)}, which is no --expert", hint="--expert NAME=DIR")

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process, without models: it loads its own."""
        return {name: getattr(self, name) for name in ("experts", "choices", "temperature", "backend", "placement")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _models={}, _lock=threading.Lock())

    def __call__(self, item: Item) -> Iterator[bytes]:
        """The pack's line with teachers. InputError for an expert of another tokenizer; RecordError for no choice."""
        from katcore.model.tree_lm import Forest

        pack: Pack = item.payload
        tree = Forest.of(pack)
        if self.choices is None:
            rows = [self._scores(name, pack, tree, tree_roots(tree)) for name, _ in self.experts]
            teachers = [self._teacher([name]) for name, _ in self.experts]
        else:
            taught = self._taught(pack, tree)
            parts = [self._scores(name, pack, tree, roots) for name, roots in sorted(taught.items())]
            rows = [[sum(column) for column in zip(*parts)]]  # each is 0 outside its own trees
            teachers = [self._teacher(sorted(taught))]
        weights = {} if any(pack.kl_weight) else {"kl_weight": _kl_weight(pack)}
        yield splice(item.raw, teacher_logprob=rows, teacher=teachers, **weights)

    def _taught(self, pack: Pack, tree: Forest) -> dict[str, list[int]]:
        """Expert → roots of the trees whose task it teaches."""
        sample_of: dict[int, PackSample] = {}
        roots = root_of(tree)
        for token, sample in zip(pack.term_token, pack.term_sample):
            sample_of.setdefault(roots[token], pack.samples[sample])
        taught: dict[str, list[int]] = {}
        for root in tree_roots(tree):
            if root in sample_of:  # a tree on which nothing is trained needs no teacher
                taught.setdefault(self._expert(sample_of[root]), []).append(root)
        return taught

    def _expert(self, sample: PackSample) -> str:
        assert self.choices is not None
        parts = sample.group_id.split(":")  # task:scaffold:model:attempt, and the task's id may have colons
        for end in range(len(parts), 0, -1):
            if name := self.choices.get(":".join(parts[:end])):
                return name
        raise RecordError("score", f"no expert was chosen for the task of group {sample.group_id}")

    def _scores(self, name: str, pack: Pack, tree: Forest, roots: list[int]) -> list[float]:
        """The expert's log-probs (nats) of these trees' tokens, [N] at the pack's places; 0 at roots and elsewhere."""
        import torch

        model = self._model(name)
        if pack.tokenizer and pack.tokenizer != model.tokenizer:
            raise InputError(
                f"expert {name} has another tokenizer or chat template than pack {pack.id}",
                hint="on-policy distillation compares log-probs of the same tokens: take an expert with the student's",
            )
        model.lm.accept(pack)
        part, places = subtrees(tree, roots)
        device = model.lm.device
        index = (part.parent >= 0).nonzero()[:, 0]  # a root has nothing before it
        scores = torch.zeros(len(tree))
        with torch.no_grad():
            logprob, _ = model.lm.logprobs(part.to(device), index.to(device), self.temperature)
        scores[places[index]] = logprob.float().cpu()
        found: list[float] = scores.tolist()
        return found

    def _teacher(self, names: list[str]) -> Teacher:
        versions = [self._model(name).version for name in names]
        return Teacher(name="+".join(names), version="+".join(versions), temperature=self.temperature)

    def _model(self, name: str) -> Model:
        with self._lock:
            if name not in self._models:
                self._models[name] = Model.load(dict(self.experts)[name], self.backend, self.placement)
            return self._models[name]


@dataclass(frozen=True)
class Model:
    """An expert in memory; `version` is a digest of its weights."""

    lm: TreeLM
    tokenizer: str
    version: str

    @classmethod
    def load(cls, folder: str, backend: str, placement: Placement) -> Model:
        """The expert of a model folder; UsageError for a device that is not there."""
        from katcore.model.folder import load
        from katcore.model.tree_lm import TreeLM

        device, dtype = placement.resolve()
        lm = TreeLM.load(folder, dtype=dtype, device=str(device), backend=backend)
        lm.model.eval()
        return cls(lm, load(Path(folder)).digest, _version(Path(folder)))


def _version(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _kl_weight(pack: Pack) -> list[float]:
    """Distillation weights for a pack without any, such as one for grpo: 1 at terms that RL trains; both then mix."""
    return [float(weight != 0) for weight in pack.rl_weight]


def tree_roots(tree: Forest) -> list[int]:
    """Indices of the roots, in order."""
    roots: list[int] = (tree.parent < 0).nonzero()[:, 0].tolist()
    return roots


def root_of(tree: Forest) -> list[int]:
    """[N] each token's root: trees are contiguous."""
    roots: list[int] = []
    for root in tree_roots(tree):
        roots += [root] * (int(tree.end[root]) - root)
    return roots


def subtrees(tree: Forest, roots: list[int]) -> tuple[Forest, Any]:
    """The forest of these trees alone, and where its tokens lie in the whole one (int64 [n])."""
    import torch

    from katcore.model.tree_lm import Forest

    places = torch.cat([torch.arange(root, int(tree.end[root])) for root in roots])
    moved = torch.arange(len(places)) - places  # by how much each token moves: the same within a tree
    parent = torch.where(tree.parent[places] < 0, -1, tree.parent[places] + moved)
    return Forest(tree.tokens[places], parent, tree.depth[places], tree.end[places] + moved), places
