"""Options of kat-verify and its subcommands."""

from pathlib import Path
from typing import Annotated

from msgspec import field

from katcore.options import Options, opt
from katcore.options.boxes import TEST_TIMEOUT_S, BoxOptions

LongestRun = Annotated[float, opt("Longest test run; longer ones are failures.", metavar="SECONDS", ge=1)]


class TestOptions(Options, frozen=True):
    """How an attempt's tests are run."""

    boxes: BoxOptions = BoxOptions()
    timeout: LongestRun = TEST_TIMEOUT_S
    reuse: Annotated[bool, opt("Take the verdict of an identical task, patch and sandbox.")] = True


class JudgeOptions(Options, frozen=True):
    """Who judges what no test can."""

    judge: Annotated[
        tuple[str, ...], opt("Endpoint that judges, openai:URL; several take turns.", metavar="ENGINE")
    ] = ()
    judge_model: Annotated[tuple[str, ...], opt("The model to ask there, one for each --judge.", metavar="NAME")] = ()
    judge_key: Annotated[str, opt("Environment variable with the endpoint's key.", metavar="VARIABLE")] = (
        "OPENAI_API_KEY"
    )
    votes: Annotated[int, opt("A judge's votes on each of an attempt's two views.", metavar="N", ge=1)] = 3
    judge_calls: Annotated[int, opt("Most calls to judges; 0: no limit.", metavar="N", ge=0)] = 0


class VerifyOptions(Options, frozen=True):
    """How attempts are graded."""

    tasks: Annotated[tuple[Path, ...], opt("Tasks that do not travel in the stream.", metavar="FILE")] = ()
    tests: TestOptions = TestOptions()
    panel: JudgeOptions = JudgeOptions()


class ReportOptions(Options, frozen=True):
    """`kat-verify report`: in what form."""

    as_json: Annotated[bool, opt("JSON instead of a table.")] = field(name="json", default=False)
    as_html: Annotated[bool, opt("A page with plots instead of a table.")] = field(name="html", default=False)
    title: Annotated[str, opt("The page's title.", metavar="TEXT")] = "Verdicts"
    price: Annotated[str, opt("Dollars for a million prompt and sampled tokens.", metavar="IN:OUT")] = ""


class ValidateOptions(Options, frozen=True):
    """`kat-verify validate`: how probes are run."""

    boxes: BoxOptions = BoxOptions()
    timeout: LongestRun = TEST_TIMEOUT_S
    reuse: Annotated[bool, opt("Take probes that a run before this one has finished.")] = True
