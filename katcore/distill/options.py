"""Options of kat-distill's subcommands."""

from pathlib import Path
from typing import Annotated

from katcore.options import Options, opt
from katcore.options.placement import DtypeName


class ScoreOptions(Options, frozen=True):
    """`kat-distill score`: who teaches whom."""

    expert: Annotated[tuple[str, ...], opt("An expert and its model folder.", metavar="NAME=DIR")] = ()
    choice: Annotated[Path | None, opt("The expert of each task, as kat-distill choose wrote it.", metavar="FILE")] = (
        None
    )
    temperature: Annotated[float, opt("Temperature that the tokens were sampled at.", metavar="T")] = 1.0
    device: Annotated[str, opt("Where experts run: auto, cpu, cuda or cuda:N.", metavar="DEVICE")] = "auto"
    dtype: Annotated[DtypeName, opt("Of experts' weights; auto is bfloat16 on a GPU, else float32.")] = "float32"
    """float32: a loss subtracts these log-probs from the student's, so they are not rounded unless somebody asks."""


class ChooseOptions(Options, frozen=True):
    """`kat-distill choose`: among whom."""

    expert: Annotated[tuple[str, ...], opt("An expert and its graded trajectories.", metavar="NAME=FILE")] = ()
    min_samples: Annotated[int, opt("Unmasked attempts that an expert needs on a task.", metavar="N", ge=1)] = 1
