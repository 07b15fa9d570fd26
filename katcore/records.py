"""The five records that cross a pipe between two commands.

Everything else is derived from these structs: the JSON Schemas in `schemas/`, the Arrow schemas of Parquet files and
the tables in `docs/formats.md`. Field names are the ecosystem's where one exists. Nothing here carries a path of a
host or a secret. A minor version only adds fields with defaults; a major one has an upgrade function. Records are
trees, never cycles, so the garbage collector need not look at them (`gc=False`).
"""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

Json = dict[str, Any]
"""Free-form object: a JSON object in JSONL, a JSON string in Parquet."""

Int32 = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
Float32 = Annotated[float, Meta(extra_json_schema={"format": "float32"})]
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
Time = Annotated[str, Meta(pattern=_TIME)]
"""RFC 3339 in JSON, timestamp[us, UTC] in Parquet."""
CallTime = Annotated[str, Meta(min_length=20, max_length=32, extra_json_schema={"pattern": _TIME})]
"""A Time of which reading checks the length alone: a regular expression for every model call costs 8 % of reading."""


def content_id(*parts: str) -> str:
    """Twenty hex digits that depend on the content alone: the first 80 bits of SHA-256 over length-prefixed parts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:20]


# --------------------------------------------------------------------------------------------- kat.change


class Issue(Struct, kw_only=True, gc=False):
    """An issue that a change answers; `relevance` is the cosine of the two embeddings where it was measured."""

    number: int | None = None
    title: str = ""
    body: str = ""
    relevance: float | None = None


class Labels(Struct, kw_only=True, gc=False):
    """The three axes of the taxonomy."""

    language: str = ""
    context: str = ""
    archetype: str = ""


class ChangeSource(Struct, kw_only=True, gc=False):
    """Where a change was mined."""

    kind: Literal["commit", "pull", "release"]
    url: str | None = None
    sha256: str | None = None


class Change(Struct, kw_only=True, gc=False, tag_field="schema", tag="kat.change/1"):
    """One mined change: a source patch and a test patch between two states of a repository."""

    id: str
    repo: str
    base_commit: str
    head_commit: str
    created_at: Time
    title: str = ""
    body: str = ""
    issues: list[Issue] = []
    patch: str = ""
    test_patch: str = ""
    files: list[str] = []
    languages: dict[str, int] = {}
    labels: Labels = field(default_factory=Labels)
    source: ChangeSource
    license: str | None = None


# --------------------------------------------------------------------------------------------- kat.sample


class Sample(Struct, kw_only=True, gc=False, tag_field="schema", tag="kat.sample/1"):
    """Text for supervised stages: chat messages or plain text, with the character spans that carry loss."""

    id: str
    messages: list[Json] = []
    text: str | None = None
    loss_spans: list[tuple[int, int]] = []
    weight: float = 1.0
    domain: str = ""
    labels: Labels = field(default_factory=Labels)
    source: Json = {}
    license: str | None = None


# ----------------------------------------------------------------------------------------------- kat.task


class Instruction(Struct, kw_only=True, gc=False):
    """How the problem statement came to be."""

    kind: Literal["template", "llm", "human"] = "template"
    variant: str = ""
    language: str = "en"


class TaskSource(Struct, kw_only=True, gc=False):
    """Where the repository at its base commit comes from; `sha256` is that of the archive, empty for git.

    `image`: the folder `ref` of the image that `url` names.
    """

    kind: Literal["git", "sdist", "inline", "image"]
    url: str = ""
    ref: str = ""
    sha256: str = ""


class Report(Struct, kw_only=True, gc=False):
    """The machine-readable test report that the test command writes, relative to the box's report folder.

    `kind` names the runner whose report it is (`katcore.testrun.runners`; `junit`: pytest). Without a test command the
    runner's own is run, and writes where it says.
    """

    kind: str = "junit"
    path: str = "report.xml"


class Environment(Struct, kw_only=True, gc=False):
    """All that is needed to build and run the tests, on any machine; `digest` names the built environment."""

    recipe: str = ""
    base: str = ""
    lock: list[str] = []
    setup: list[str] = []
    workdir: str = "/testbed"
    test_command: str = ""
    report: Report = field(default_factory=Report)
    env: dict[str, str] = {}
    platform: str = ""
    digest: str = ""
    dockerfile: str | None = None
    image: str | None = None


class Verification(Struct, kw_only=True, gc=False):
    """How an attempt is judged."""

    kind: Literal["tests", "rules", "judge", "references", "web", "dual"] = "tests"
    FAIL_TO_PASS: list[str] = []
    PASS_TO_PASS: list[str] = []
    answer: str | None = None
    rubric: Json | None = None
    references: list[Json] | None = None


class TestFile(Struct, kw_only=True, gc=False, omit_defaults=True):
    """A test or test-configuration file as the task wants it: text, or base64 when it is not UTF-8; neither: absent.

    A file whose name is not UTF-8 is called by it in quotes, as git prints it: `"tests/d\\351ta.txt"`.
    """

    text: str | None = None
    base64: str | None = None
    mode: str = "100644"


class Evidence(Struct, kw_only=True, gc=False):
    """What was seen when the task was built and validated."""

    runs: list[Json] = []
    flaky: list[str] = []
    excluded: list[str] = []
    probes: Json = {}
    yields: Json = {}


class Benchmark(Struct, kw_only=True, gc=False):
    """What a report groups by, beside the domain: the name as the field writes it, in lower case.

    `version` and `split` are null where nobody said.
    """

    name: str
    version: str | None = None
    split: str | None = None


class Task(Struct, kw_only=True, gc=False, tag_field="schema", tag="kat.task/1"):
    """The 5-tuple of environment, toolset, scaffold, instruction and verification."""

    instance_id: str
    repo: str
    base_commit: str
    created_at: Time
    domain: str = "swe"
    benchmark: Benchmark | None = None
    labels: Labels = field(default_factory=Labels)
    difficulty: float | None = None
    license: str | None = None
    problem_statement: str = ""
    instruction: Instruction = field(default_factory=Instruction)
    source: TaskSource
    environment: Environment = field(default_factory=Environment)
    tools: list[Json] | None = None
    scaffold: str | None = None
    verification: Verification = field(default_factory=Verification)
    patch: str = ""
    test_patch: str = ""
    test_files: dict[str, TestFile] = {}
    evidence: Evidence = field(default_factory=Evidence)


# ----------------------------------------------------------------------------------------- kat.trajectory

Outcome = Literal["ok", "nonzero_exit", "invalid_arguments", "unknown_tool", "tool_error", "denied", "timeout"]
OutcomeBy = Literal["parser", "schema", "rules", "agent", "exit_status"]
"""Who says what became of a tool call: the parser of what was sampled, the tool schemas of the request, the rules for
this agent's results, the agent itself (`is_error`), an exit status in the result."""
Boundary = Literal["none", "compaction", "mode", "subagent", "title"]
Origin = Literal["engine", "scripted", "reference", "external"]


class Scaffold(Struct, kw_only=True, gc=False):
    """The agent that drove the model."""

    name: str
    version: str = ""


class ToolCall(Struct, kw_only=True, gc=False):
    """One tool call of a sampled message; `span` is its [start, end) in the node's `token_ids`.

    `outcome` is null where nobody tells; `outcome_by` says who did. An `ok` without it is of an older record, where it
    stood for results of which nothing was known.
    """

    id: str = ""
    name: str = ""
    span: tuple[int, int] | None = None
    outcome: Outcome | None = None
    outcome_by: OutcomeBy | None = None


class Node(Struct, kw_only=True, gc=False):
    """One message of the tree, with the tokens that it adds to its parent's.

    Concatenating `token_ids` from the root to a node gives exactly a prompt plus completion that the engine saw.
    `sampled` are [a, b) spans in `token_ids`; `engine_logprobs` has one entry per sampled token, as the engine gave it.
    """

    id: int
    parent: int | None = None
    role: str
    message: Json | None = None
    token_ids: list[Int32] | None = None
    sampled: list[tuple[int, int]] = []
    engine_logprobs: list[Float32] | None = None
    versions: list[tuple[int, str]] = []
    tool_calls: list[ToolCall] = []
    turn: int = 0
    lineage: str = "main"
    boundary: Boundary = "none"
    origin: Origin = "engine"
    routed_experts: Json | None = None


class Sampling(Struct, kw_only=True, gc=False):
    """The sampling parameters in force for one call."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    penalties: Json = {}
    grammar: str | None = None


class Call(Struct, kw_only=True, gc=False):
    """One model call through the gateway; `node` is the completion's node, null when the call failed.

    `sampling` was in force, `asked` is what the agent wanted. `delivered`: whether the agent got the whole answer; of
    one that it did not wait for nothing is trained. Null: not known.
    """

    id: int
    node: int | None = None
    dialect: str = "openai-chat"
    started_at: CallTime
    first_token_s: float | None = None
    seconds: float = 0.0
    usage: dict[str, int] = {}
    finish_reason: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    asked: Json = {}
    logprob_temperature: float = 1.0
    engine: str = ""
    retries: int = 0
    delivered: bool | None = None
    error: str | None = None


class Exit(Struct, kw_only=True, gc=False):
    """Why the attempt ended: `submitted`, `turns`, `tokens`, `time`, `context`, `agent_error`, `engine`, `sandbox`.

    `stopped`: a rule ended it (it stayed away from its references). `gateway`: the process that kept its calls died.
    """

    kind: str = "submitted"
    detail: str = ""


class Timing(Struct, kw_only=True, gc=False):
    """Seconds spent starting the box, running the agent and grading."""

    boot: float = 0.0
    agent: float = 0.0
    grade: float = 0.0


class Verdict(Struct, kw_only=True, gc=False):
    """The reward of one trajectory with its parts. Masked: the infrastructure failed, the attempt says nothing."""

    reward: float = 0.0
    passed: bool = False
    parts: Json = {}
    turn_rewards: list[float] | None = None
    flags: list[str] = []
    masked: bool = False
    reason: str = ""
    evidence: Json = {}


class Trajectory(Struct, kw_only=True, gc=False, tag_field="schema", tag="kat.trajectory/1"):
    """One attempt at a task, as a tree of messages."""

    id: str
    task_id: str
    group_id: str
    group_size: int = 1
    sample_index: int = 0
    attempt: int = 0
    scaffold: Scaffold
    model: str
    tokenizer: str = ""
    domain: str = ""
    nodes: list[Node] = []
    calls: list[Call] = []
    patch: str | None = None
    artifacts: Json = {}
    exit: Exit = field(default_factory=Exit)
    timing: Timing = field(default_factory=Timing)
    verdict: Verdict | None = None


# ----------------------------------------------------------------------------------------------- kat.pack


class Teacher(Struct, kw_only=True, gc=False):
    """The expert whose log-probs a pack carries."""

    name: str
    version: str = ""
    temperature: float = 1.0


class PackSample(Struct, kw_only=True, gc=False):
    """One trajectory of a pack."""

    trajectory_id: str
    group_id: str
    reward: float | None = None
    advantage: float | None = None
    masked: bool = False
    reason: str = ""


class StepCounts(Struct, kw_only=True, gc=False):
    """Denominators of the whole step: they depend neither on the packs nor on the ranks."""

    groups: int = 0
    samples: int = 0
    turns: int = 0
    trained_tokens: int = 0


class PackStats(Struct, kw_only=True, gc=False):
    """Tokens of all root-to-leaf paths, unique tokens, and POR = 1 - unique / flat."""

    flat: int = 0
    unique: int = 0
    por: float = 0.0


class Pack(Struct, kw_only=True, gc=False, tag_field="schema", tag="kat.pack/1"):
    """What a rank trains on: a set of whole trees. N unique tokens, M terms, Q samples, S teachers.

    A token's log-prob is read at its parent's hidden state, so a fork needs no duplicate. Losses reduce over the term
    table: the same token can be sampled in one trajectory and prompt in another.
    """

    id: str
    objective: str
    tokenizer: str = ""
    step: int = 0
    tokens: list[Int32]  # [N]
    parent: list[Int32]  # [N], -1 at a root
    depth: list[Int32]  # [N], the position on the token's own path
    end: list[Int32]  # [N], one past the token's subtree
    old_logprob: list[Float32] | None = None  # [N]
    ref_logprob: list[Float32] | None = None  # [N]
    teacher_logprob: list[list[Float32]] | None = None  # [S, N]
    teacher: list[Teacher] = []  # [S]
    term_token: list[Int32]  # [M], index into tokens
    term_sample: list[Int32]  # [M], index into samples
    term_turn: list[Int32]  # [M]
    rl_weight: list[Float32]  # [M]
    ce_weight: list[Float32]  # [M]
    kl_weight: list[Float32]  # [M]
    engine_logprob: list[Float32] | None = None  # [M]
    version: list[str] | None = None  # [M]
    samples: list[PackSample] = []  # [Q]
    step_counts: StepCounts = field(default_factory=StepCounts)
    stats: PackStats = field(default_factory=PackStats)


Record = Change | Sample | Task | Trajectory | Pack
RECORDS: tuple[type[Struct], ...] = (Change, Sample, Task, Trajectory, Pack)


def tag_of(kind: type[Struct]) -> str:
    """The value of `schema` that marks records of this type, such as `kat.task/1`."""
    return str(kind.__struct_config__.tag)


def record_id(record: Record) -> str:
    """What `--resume` remembers a record by, within its type."""
    return record.instance_id if isinstance(record, Task) else record.id


def item_key(kind: type[Struct], name: str) -> str:
    """What a work item is called whose record of this type and id is still to be made, such as `kat.task/1:calm-1`."""
    return f"{tag_of(kind)}:{name}"


def key_of(record: Record) -> str:
    """What a record's work item is called."""
    return item_key(type(record), record_id(record))


def encode(record: Record) -> bytes:
    """One JSON object without a newline."""
    return msgspec.json.encode(record)


def finite(value: float) -> float | None:
    """A number as JSON has it: neither NaN nor Infinity is one, and null stands for both."""
    return value if math.isfinite(value) else None


def json_object(data: bytes) -> Json:
    """A JSON object as a dict, for the few places that handle records without their type."""
    return msgspec.json.decode(data, type=Json)
