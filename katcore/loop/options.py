"""Options of kat-train loop, and RUN.toml's own table."""

from pathlib import Path
from typing import Annotated

from katcore.options import Options, opt


class LoopOptions(Options, frozen=True):
    """What the command line says in the place of RUN.toml."""

    model: Annotated[Path | None, opt("The model to start from, instead of RUN.toml's.", metavar="DIR")] = None
    tasks: Annotated[tuple[Path, ...], opt("The tasks, instead of RUN.toml's.", metavar="FILE")] = ()


class LoopTable(Options, frozen=True):
    """`[loop]` of RUN.toml: how often, and what an iteration is made of."""

    iterations: Annotated[int, opt("How many.", metavar="N", ge=1)] = 1
    tasks: Annotated[int, opt("Tasks of an iteration, taken in turn; 0: all of them.", metavar="N", ge=0)] = 0
    keep: Annotated[int, opt("Checkpoints to keep.", metavar="N", ge=1)] = 2
