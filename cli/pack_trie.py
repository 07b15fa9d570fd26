"""kat-pack-trie: pack trajectories for training, say how much they share, and draw it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from katcli.contract import Program, required
from katcli.options import Files
from katcli.run import Run

if TYPE_CHECKING:
    from katcore.model.folder import ChatModel

kat = Program("kat-pack-trie", "Pack trajectories for training, every shared token once.")

OBJECTIVE_HINT = "say what for: --for sft, em-sft, tst, rft, grpo, gspo or opd"


class ObjectiveName(StrEnum):
    """What the packs are for."""

    sft = "sft"
    em_sft = "em-sft"
    tst = "tst"
    rft = "rft"
    grpo = "grpo"
    gspo = "gspo"
    opd = "opd"


class SharedTokens(StrEnum):
    """How often a token counts that several paths of one trajectory share."""

    sample = "sample"
    path = "path"


class Baseline(StrEnum):
    """What a reward is compared with."""

    group = "group"
    trie = "trie"


class Mask(StrEnum):
    """What em-sft masks of a failed tool call."""

    span = "span"
    turn = "turn"


class CutName(StrEnum):
    """What becomes of a tree above the budget."""

    none = "none"
    repeat = "repeat"


Budget = Annotated[
    int,
    typer.Option("--budget", metavar="TOKENS", min=1, help="Unique tokens of a row; a larger tree gets its own row."),
]
CutOption = Annotated[
    CutName,
    typer.Option("--cut", help="Keep a tree above --budget whole, or cut it into packs that repeat what they share."),
]
Ranks = Annotated[
    int, typer.Option("--ranks", metavar="R", min=1, help="Lay rows out so that R ranks get about equal work.")
]

MinReward = Annotated[
    float, typer.Option("--min-reward", metavar="REWARD", help="sft, em-sft, tst, rft: turn away attempts below this.")
]
BaselineOption = Annotated[
    Baseline, typer.Option("--baseline", help="grpo: compare with the group, or with those that share the prefix.")
]
MaskOption = Annotated[Mask, typer.Option("--mask", help="em-sft: mask a failed call's own tokens or its whole turn.")]


@kat.command()
def pack(
    run: Run,
    files: Files = None,
    objective: Annotated[
        ObjectiveName | None, typer.Option("--for", help="The training objective.", show_default=False)
    ] = None,
    budget: Budget = 32768,
    cut: CutOption = CutName.none,
    ranks: Ranks = 1,
    groups_per_step: Annotated[
        int,
        typer.Option(
            "--groups-per-step", metavar="N", min=0, help="Task groups of one optimiser step; 0: all of the input."
        ),
    ] = 16,
    min_reward: MinReward = 1.0,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, help="rft: take the N best attempts of a group; 0: all.")
    ] = 0,
    baseline: BaselineOption = Baseline.group,
    mask: MaskOption = Mask.span,
    shared_tokens: Annotated[
        SharedTokens,
        typer.Option(
            "--shared-tokens", help="Count a sampled token once per trajectory, or once per root-to-leaf path."
        ),
    ] = SharedTokens.sample,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="DIR", help="Render text with this folder's tokenizer; refuse another's tokens."
        ),
    ] = None,
) -> None:
    """Pack trajectories for training, every shared token once.

    The samples of a task are merged into one token trie, flattened depth-first, and put as whole trees into rows of
    at most --budget unique tokens. Beside the tokens stands the term table: one term for each token that is trained,
    with its weights. grpo and gspo add advantages inside each group; groups with fewer than two unmasked samples are
    turned away. sft, em-sft, tst and rft take attempts with a reward of at least --min-reward: em-sft masks failed tool
    calls; tst cuts an attempt where its context was compacted or switched, and each piece is a sample; rft takes the
    --top best of a group, the shortest first, and each only once.

    Text is rendered with the template of --model, by default that of KAT's small model: kat.sample records, and
    trajectories whose messages have no tokens. grpo, gspo and opd need the policy's own tokens and refuse text.

    A group is packed once its group_size members have come, or at the end of the input. A step is --groups-per-step
    groups; every pack carries the denominators of its whole step, so a step's packs are written together.

    A tree above --budget stays whole by default, because kat-train computes it in parts that repeat nothing. To divide
    it between ranks, --cut repeat cuts it into packs of whole root-to-leaf paths that repeat as few tokens as possible;
    each term is still in one pack only, so that the gradients of all packs sum to the tree's. With --ranks R rows are
    made small enough for R ranks to be done at about the same time, cutting trees only with --cut repeat, and written
    from the largest to the smallest: give each one to the rank that has the least so far. The summary then tells
    repeated tokens, POR and ERR (1 - computed / flat), and the work of the slowest rank over the mean.
    """
    from katcore import records
    from katcore.pack_trie import PackSettings, emit, items
    from katcore.pack_trie.packing import ratios

    name = required(objective, "for", hint=OBJECTIVE_HINT)
    chat = _chat(model)
    settings = PackSettings(
        objective=str(name.value),
        budget=budget,
        cut=cut.value,
        ranks=ranks,
        groups_per_step=groups_per_step,
        shared_tokens=shared_tokens.value,
        min_reward=min_reward,
        top=top,
        mask=mask.value,
        baseline=baseline.value,
        tokenizer=chat.digest if chat else "",
    )
    stream = run.read(files, records.Task, records.Trajectory, records.Sample)
    run.stage(items(stream, settings, run.count, chat), emit)
    run.counts |= ratios(run.counts)


def _chat(model: Path | None) -> ChatModel | None:
    if model is None:
        return None
    from katcore.model.folder import load

    return load(model)


@kat.command("stats", output="text")
def stats(
    run: Run,
    files: Files = None,
    budget: Budget = 32768,
    cut: CutOption = CutName.none,
    ranks: Ranks = 1,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Tabulate how much trajectories or packs share: unique, repeated and flat tokens, POR, ERR, rows.

    Flat is what training path by path would compute, unique what the trie does; POR is 1 - unique / flat, and
    1 / (1 - POR) the most that sharing can gain in tokens. With --cut repeat, or from packs that were cut so, repeated
    tokens are counted, and ERR is 1 - computed / flat. Trajectories need no verdict here: all of them are counted.
    """
    import msgspec

    from katcore import records
    from katcore.pack_trie import PackSettings
    from katcore.pack_trie.stats import table, tabulate

    settings = PackSettings(objective="sft", budget=budget, cut=cut.value, ranks=ranks)
    found = tabulate(run.read(files, records.Task, records.Trajectory, records.Pack), settings)
    run.text(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() if as_json else table(found))


@kat.command("show", output="text")
def show(
    run: Run,
    files: Files = None,
    group: Annotated[
        str, typer.Option("--group", metavar="ID", help="The group to draw; by default the one with most samples.")
    ] = "",
    pack: Annotated[
        str,
        typer.Option("--pack", metavar="ID", help="The pack to draw; by default the first, if no trajectories come."),
    ] = "",
    objective: Annotated[
        ObjectiveName | None,
        typer.Option("--for", help="Colour trajectories by what this objective trains.", show_default=False),
    ] = None,
    min_reward: MinReward = 1.0,
    baseline: BaselineOption = Baseline.group,
    mask: MaskOption = Mask.span,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Draw at most N branch ends one by one.")
    ] = 48,
) -> None:
    """Draw a trie as SVG: the shared trunk, the branches, their boundaries, and what is trained.

    Tokens run from left to right, branches from top to bottom in depth-first order, each as wide as the samples that
    pass through it. With --for, colours are the weights that packing a group for that objective would give; of packs
    they are the packs' own. Tooltips say what a branch's tokens are.
    """
    from katcore import records
    from katcore.pack_trie import PackSettings
    from katcore.pack_trie.show import show as drawn

    settings = None
    if objective is not None:
        settings = PackSettings(
            objective=objective.value, min_reward=min_reward, baseline=baseline.value, mask=mask.value
        )
    stream = run.read(files, records.Task, records.Trajectory, records.Pack)
    run.text(drawn(stream, group=group, pack=pack, settings=settings, rows=rows, warn=run.warn))


main = kat.main
