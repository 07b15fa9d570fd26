"""Options of kat-build-env."""

from typing import Annotated

from katcore.dataset.options import DatasetName
from katcore.options import Options, opt
from katcore.options.boxes import TEST_TIMEOUT_S, BoxOptions
from katcore.options.shared import Order
from katcore.sandbox import Limits


class BuildOptions(Options, frozen=True):
    """How environments are built and changes checked."""

    boxes: BoxOptions = BoxOptions()
    runs: Annotated[int, opt("Test runs before the change, and as many after it.", metavar="N", ge=1)] = 3
    timeout: Annotated[float, opt("Longest test run; longer ones turn it away.", metavar="SECONDS", ge=1)] = (
        TEST_TIMEOUT_S
    )
    memory: Annotated[int, opt("Memory of a test run.", metavar="MIB", ge=64)] = Limits.memory_mib
    clock: Annotated[
        str, opt("What time a task's boxes start at: now, the change's, or TIME.", metavar="none|change|TIME")
    ] = "none"
    order: Order = Order(ordered=True)


class ExportOptions(Options, frozen=True):
    """`kat-build-env export`: in which format."""

    to: Annotated[DatasetName, opt("The format.")]
    image: Annotated[str, opt("Base image of exported Harbor tasks instead of Python's own.", metavar="IMAGE")] = ""
    wheels: Annotated[bool, opt("Bring the pinned wheels along: building then needs no package index.")] = False
