"""kat-pack-trie: pack trajectories for training, say how much they share, and draw it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.pack_trie.options import PackOptions, ShowOptions, StatsOptions

if TYPE_CHECKING:
    from katcore.model.folder import ChatModel

kat = Program("kat-pack-trie", "Pack trajectories for training, every shared token once.")


@kat.command()
def pack(run: Run, options: PackOptions, files: Files = None) -> None:
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
    from katcore.pack_trie.packing import ratios
    from katcore.pack_trie.stream import emit, items

    chat = _chat(options.model)
    stream = run.read(files, records.Task, records.Trajectory, records.Sample)
    run.stage(items(stream, options, run.count, chat), emit)
    run.counts |= ratios(run.counts)


def _chat(model: Path | None) -> ChatModel | None:
    if model is None:
        return None
    from katcore.model.folder import load

    return load(model)


@kat.command("stats", output="text")
def stats(run: Run, options: StatsOptions, files: Files = None) -> None:
    """Tabulate how much trajectories or packs share: unique, repeated and flat tokens, POR, ERR, rows.

    Flat is what training path by path would compute, unique what the trie does; POR is 1 - unique / flat, and
    1 / (1 - POR) the most that sharing can gain in tokens. With --cut repeat, or from packs that were cut so, repeated
    tokens are counted, and ERR is 1 - computed / flat. Trajectories need no verdict here: all of them are counted.
    """
    import msgspec

    from katcore import records
    from katcore.pack_trie.stats import table, tabulate

    found = tabulate(run.read(files, records.Task, records.Trajectory, records.Pack), options.layout)
    run.text(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() if options.as_json else table(found))


@kat.command("show", output="text")
def show(run: Run, options: ShowOptions, files: Files = None) -> None:
    """Draw a trie as SVG: the shared trunk, the branches, their boundaries, and what is trained.

    Tokens run from left to right, branches from top to bottom in depth-first order, each as wide as the samples that
    pass through it. With --for, colours are the weights that packing a group for that objective would give; of packs
    they are the packs' own. Tooltips say what a branch's tokens are.
    """
    from katcore import records
    from katcore.pack_trie.show import show as drawn

    weighed = None
    if options.objective is not None:
        weighed = PackOptions(objective=options.objective, floor=options.floor, credit=options.credit)
    stream = run.read(files, records.Task, records.Trajectory, records.Pack)
    run.text(drawn(stream, group=options.group, pack=options.pack, settings=weighed, rows=options.rows, warn=run.warn))


main = kat.main
