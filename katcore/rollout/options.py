"""Options of kat-rollout and its subcommands."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import field

from katcore.gateway.history import History
from katcore.options import Options, opt
from katcore.options.boxes import TEST_TIMEOUT_S, BoxOptions
from katcore.options.placement import PlacementOptions

TrajectoryFormatName = Literal["atif", "openai", "anthropic", "mini-swe-agent", "swe-bench", "verifiers"]
"""Formats of trajectories; `katcore.trajectory.convert.FORMATS` has one entry for each."""
SessionName = Literal["claude-code", "cline", "codex"]
"""Agents whose logs are read; `katcore.trajectory.sessions.records.SESSIONS` has one entry for each."""
SourceName = Literal[TrajectoryFormatName, SessionName]
PathChoice = Literal["main", "all"]
"""Which paths of a tree."""


class AgentOptions(Options, frozen=True):
    """Who works, and what answers."""

    scaffold: Annotated[str, opt("The agent; oracle and nop are controls.", metavar="SCAFFOLD")] = "bash-loop"
    engine: Annotated[
        str,
        opt(
            "What answers the agent; by default embedded:MODEL. openai:URL and anthropic:URL pass through.",
            metavar="ENGINE",
        ),
    ] = ""
    model: Annotated[Path | None, opt("Model folder: tokenizer, chat template, embedded engine.", metavar="DIR")] = None


class SampleOptions(Options, frozen=True):
    """How many attempts."""

    samples: Annotated[int, opt("Attempts at each task.", metavar="N", ge=1)] = 1
    attempt: Annotated[int, opt("Tells repeated rollouts of the same model apart.", metavar="N", ge=0)] = 0


class SamplingOptions(Options, frozen=True):
    """How tokens are drawn."""

    temperature: Annotated[float, opt("Sampling temperature.", ge=0)] = 1.0
    top_p: Annotated[float, opt("Nucleus sampling; 1 is off.", ge=0, le=1)] = 1.0
    top_k: Annotated[int, opt("Most likely tokens; -1 is off.", metavar="N", ge=-1)] = -1


class CapOptions(Options, frozen=True):
    """What ends an attempt, counted in calls and tokens."""

    max_turns: Annotated[int, opt("Model calls of one agent.", metavar="N", ge=1)] = 50
    max_tokens: Annotated[int, opt("Sampled tokens of one attempt.", metavar="N", ge=1)] = 1_000_000
    max_completion: Annotated[int, opt("Sampled tokens of one model call.", metavar="N", ge=1)] = 4096
    context: Annotated[int, opt("Tokens of one call; 0: what the model folder says.", metavar="N", ge=0)] = 0


class TimeOptions(Options, frozen=True):
    """What ends an attempt's phases, in seconds."""

    boot_timeout: Annotated[float, opt("Longest start of a sandbox, with setup.", metavar="SECONDS", ge=1)] = 900.0
    timeout: Annotated[float, opt("Longest run of an agent.", metavar="SECONDS", ge=1)] = 1800.0
    grade_timeout: Annotated[float, opt("Longest test run of --probe, --resample.", metavar="SECONDS", ge=1)] = (
        TEST_TIMEOUT_S
    )
    command_timeout: Annotated[float, opt("Longest run of one of its commands.", metavar="SECONDS", ge=1)] = 120.0


class DrawOptions(Options, frozen=True):
    """Which attempts are worth drawing."""

    redraws: Annotated[int, opt("Draw a stopped attempt again, up to N times.", metavar="N", ge=0)] = 0
    probe: Annotated[int, opt("Grade the first N samples; all equal: leave the rest out.", metavar="N", ge=0)] = 0
    resample: Annotated[int, opt("Up to N more samples while all rewards are equal.", metavar="N", ge=0)] = 0


class PriceOptions(Options, frozen=True):
    """What tokens cost, for the totals."""

    prompt_price: Annotated[float, opt("Of a million prompt tokens.", metavar="DOLLARS", ge=0)] = 0.0
    completion_price: Annotated[float, opt("Of a million sampled tokens.", metavar="DOLLARS", ge=0)] = 0.0


class CorrectionOptions(Options, frozen=True):
    """What becomes of a step away from all verified references (method.md § 5.2, 5.3)."""

    references: Annotated[
        Path | None, opt("Verified trajectories, in the place of the tasks' own.", metavar="FILE")
    ] = None
    deviation: Annotated[float, opt("A step farther than this from every reference deviates.", ge=0, le=1)] = 0.5
    patience: Annotated[int, opt("Deviating steps in a row that end an attempt; 0: none.", metavar="N", ge=0)] = 0
    replace: Annotated[bool, opt("Take the reference's step in the place of one that deviates.")] = False


class EndpointOptions(Options, frozen=True):
    """An outside endpoint that answers."""

    upstream_model: Annotated[str, opt("The model's name at an outside endpoint.", metavar="NAME")] = ""
    key_variable: Annotated[str, opt("Environment variable with an outside endpoint's key.", metavar="NAME")] = ""


class RolloutOptions(Options, frozen=True):
    """How agents work on tasks."""

    agent: AgentOptions = AgentOptions()
    placement: PlacementOptions = PlacementOptions()
    boxes: BoxOptions = BoxOptions()
    number: SampleOptions = SampleOptions()
    sampling: SamplingOptions = SamplingOptions()
    caps: CapOptions = CapOptions()
    times: TimeOptions = TimeOptions()
    draw: DrawOptions = DrawOptions()
    prices: PriceOptions = PriceOptions()
    agent_sampling: Annotated[bool, opt("Let the agent's own temperature and top-p stand (to evaluate).")] = False
    history: Annotated[History, opt("Earlier turns: as sampled, or as the template has them now.")] = "sampled"
    correction: CorrectionOptions = CorrectionOptions()
    endpoint: EndpointOptions = EndpointOptions()
    fsync: Annotated[bool, opt("Let the journal of calls survive a loss of power.")] = False


class SessionCapOptions(Options, frozen=True):
    """`kat-rollout gateway`: what ends a session of somebody else's agent."""

    max_turns: Annotated[int, opt("Model calls of a session.", metavar="N", ge=1)] = 200
    max_tokens: Annotated[int, opt("Sampled tokens of a session.", metavar="N", ge=1)] = 1_000_000
    max_completion: Annotated[int, opt("Sampled tokens of one model call.", metavar="N", ge=1)] = 4096
    context: Annotated[int, opt("Tokens of prompt and answer of one call.", metavar="N", ge=1)] = 1 << 20
    timeout: Annotated[float, opt("Longest life of a session.", metavar="SECONDS", ge=1)] = 86_400.0


class ServiceOptions(Options, frozen=True):
    """`kat-rollout gateway`: where it listens, and for how many."""

    listen: Annotated[str, opt("Where agents connect; port 0 is any free one.", metavar="HOST:PORT")] = "127.0.0.1:0"
    metrics: Annotated[str, opt("Where Prometheus reads; nowhere by default.", metavar="HOST:PORT")] = ""
    sessions: Annotated[int, opt("Keys to hand out; each is one trajectory.", metavar="N", ge=1)] = 1
    processes: Annotated[int, opt("Processes that answer, each on a core of its own.", metavar="N", ge=1)] = 1
    keys: Annotated[
        Path | None, opt("Write keys and URLs there, for its owner alone; else to stderr.", metavar="FILE")
    ] = None


class GatewayOptions(Options, frozen=True):
    """`kat-rollout gateway`: serve agents that somebody else runs."""

    engine: Annotated[str, opt("What answers; openai:URL and anthropic:URL pass through.", metavar="ENGINE")] = ""
    model: Annotated[Path | None, opt("Model folder: tokenizer and chat template.", metavar="DIR")] = None
    placement: PlacementOptions = PlacementOptions()
    endpoint: EndpointOptions = EndpointOptions()
    service: ServiceOptions = ServiceOptions()
    history: Annotated[History, opt("Earlier turns: as sampled, or as the template has them now.")] = "sampled"
    sampling: SamplingOptions = SamplingOptions()
    caps: SessionCapOptions = SessionCapOptions()
    agent_sampling: Annotated[bool, opt("Let the agent's own temperature and the like stand.")] = False
    journals: Annotated[Path | None, opt("Where calls are kept until they are written.", metavar="DIR")] = None
    recover: Annotated[bool, opt("Serve nothing: write what the journals of a killed gateway hold.")] = False
    fsync: Annotated[bool, opt("Let the journal of calls survive a loss of power.")] = False


class ScaffoldsOptions(Options, frozen=True):
    """`kat-rollout scaffolds`."""

    install: Annotated[
        tuple[str, ...], opt("Install this one, or `all`; may be given several times.", metavar="NAME")
    ] = ()
    check: Annotated[bool, opt("Let each that is there tell its version and answer a task, in a sandbox.")] = False


class SandboxesOptions(Options, frozen=True):
    """`kat-rollout sandboxes`."""

    clean: Annotated[bool, opt("Remove the boxes of runners that are gone.")] = False


class TrimOptions(Options, frozen=True):
    """`kat-rollout trim`: what stays."""

    turns: Annotated[int, opt("Keep N answers of the model on each path; 0: all.", metavar="N", ge=0)] = 0
    tokens: Annotated[int, opt("Keep exchanges that end within N tokens; 0: all.", metavar="N", ge=0)] = 0
    paths: Annotated[PathChoice, opt("Keep every path, or the agent's own conversation alone.")] = "all"
    order: Annotated[bool, opt("Number nodes anew, depth-first and by the time of their calls.")] = False


class ConvertOptions(Options, frozen=True):
    """`kat-rollout convert`: from what, to what."""

    to: Annotated[TrajectoryFormatName | None, opt("Write rows of this format.")] = None
    source: Annotated[SourceName | None, opt("Read rows of this format, or this agent's logs.")] = field(
        name="from", default=None
    )
    paths: Annotated[PathChoice, opt("The agent's own conversation, or a row for every path.")] = "main"


class ViewOptions(Options, frozen=True):
    """`kat-rollout view`: what is on the page."""

    model: Annotated[Path | None, opt("Show tokens as text of this folder's tokenizer.", metavar="DIR")] = None
    limit: Annotated[int, opt("Put the first N trajectories into the page.", metavar="N", ge=1)] = 200
