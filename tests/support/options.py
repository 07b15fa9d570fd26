"""Options by flat names, as a command line has them."""

from __future__ import annotations

from typing import Any

from katcore.options import build, flat
from katcore.pack_trie.options import PackOptions
from katcore.rollout.attempts import Setup
from katcore.rollout.options import RolloutOptions


def _keys(values: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in values.items()}


def pack_options(objective: str, **values: Any) -> PackOptions:
    """What kat-pack-trie --for OBJECTIVE and these options are."""
    return build(PackOptions, {"for": objective, **_keys(values)})


def setup(**values: Any) -> Setup:
    """What kat-rollout with these options sets up."""
    own = {name: values.pop(name) for name in ("label", "seed", "table", "journals") if name in values}
    return Setup(build(RolloutOptions, _keys(values)), **own)


def but(before: Setup, **values: Any) -> Setup:
    """The same setup with other options."""
    options = build(RolloutOptions, flat(before.options) | _keys(values))
    return Setup(options, before.label, before.seed, before.table, before.journals)
