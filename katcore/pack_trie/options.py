"""Options of kat-pack-trie and its subcommands."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import field

from katcore.options import Options, opt

ObjectiveName = Literal["sft", "em-sft", "tst", "rft", "grpo", "gspo", "opd"]
"""What packs are for; `objectives.OBJECTIVES` has one entry for each."""


class LayoutOptions(Options, frozen=True):
    """How trees are laid out in rows."""

    budget: Annotated[int, opt("Unique tokens of a row; a larger tree gets its own row.", metavar="TOKENS", ge=1)] = (
        32768
    )
    cut: Annotated[
        Literal["none", "repeat"],
        opt("Keep a tree above --budget whole, or cut it into packs that repeat what they share."),
    ] = "none"
    ranks: Annotated[int, opt("Lay rows out so that R ranks get about equal work.", metavar="R", ge=1)] = 1


class FloorOptions(Options, frozen=True):
    """Which attempts are good enough to learn from."""

    min_reward: Annotated[float, opt("sft, em-sft, tst, rft: turn away attempts below this.", metavar="REWARD")] = 1.0


class CreditOptions(Options, frozen=True):
    """What a reward is compared with, and what of an attempt gets the blame."""

    baseline: Annotated[
        Literal["group", "trie"], opt("grpo: compare with the group, or with those that share the prefix.")
    ] = "group"
    mask: Annotated[Literal["span", "turn"], opt("em-sft: mask a failed call's own tokens or its whole turn.")] = "span"


class PackOptions(Options, frozen=True):
    """What packs are for, and what they hold."""

    objective: Annotated[ObjectiveName, opt("The training objective.")] = field(name="for")
    layout: LayoutOptions = LayoutOptions()
    groups_per_step: Annotated[
        int, opt("Task groups of one optimiser step; 0: all of the input.", metavar="N", ge=0)
    ] = 16
    floor: FloorOptions = FloorOptions()
    top: Annotated[int, opt("rft: take the N best attempts of a group; 0: all.", metavar="N", ge=0)] = 0
    credit: CreditOptions = CreditOptions()
    shared_tokens: Annotated[
        Literal["sample", "path"], opt("Count a sampled token once per trajectory, or once per root-to-leaf path.")
    ] = "sample"
    model: Annotated[
        Path | None, opt("Render text with this folder's tokenizer; refuse another's tokens.", metavar="DIR")
    ] = None


class StatsOptions(Options, frozen=True):
    """`kat-pack-trie stats`."""

    layout: LayoutOptions = LayoutOptions()
    as_json: Annotated[bool, opt("JSON instead of a table.")] = field(name="json", default=False)


class ShowOptions(Options, frozen=True):
    """`kat-pack-trie show`: what is drawn."""

    group: Annotated[str, opt("The group to draw; by default the one with most samples.", metavar="ID")] = ""
    pack: Annotated[str, opt("The pack to draw; by default the first, if no trajectories come.", metavar="ID")] = ""
    objective: Annotated[ObjectiveName | None, opt("Colour trajectories by what this objective trains.")] = field(
        name="for", default=None
    )
    floor: FloorOptions = FloorOptions()
    credit: CreditOptions = CreditOptions()
    rows: Annotated[int, opt("Draw at most N branch ends one by one.", metavar="N", ge=1)] = 48
