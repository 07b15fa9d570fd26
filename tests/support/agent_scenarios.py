"""One scenario for every agent: write a file, let a sub-agent work, read much, have the history shortened, end.

In: an agent's name. Out: its trajectory, what the played engine was asked and what it answered. What differs between
agents is how their tools are called and what their own prompts say: `HANDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from katcore.model.folder import load
from katcore.pack_trie.packing import por
from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import merge
from katcore.records import Trajectory
from katcore.rollout.attempts import attempts_at
from katcore.rollout.roller import roll, rollouts
from katcore.rollout.service import Service
from tests.support.options import setup
from tests.support.played_engine import Message, PlayedEngine, Seen, call, say
from tests.support.rollout_tasks import task

STATEMENT = "TASK-MARK-31: add() subtracts."
SUBTASK = "SUBTASK-MARK-77: write sub.txt and report."
SUMMARY = "SUMMARY-MARK-55: new.txt and sub.txt are written."
MOST_READS = 12
EDIT = "new.txt\n```\n<<<<<<< SEARCH\n=======\nhello-1\nend-1\n>>>>>>> REPLACE\n```\n"
DROPS = "(?!)"


@dataclass(frozen=True)
class Hands:
    """How to play an agent's model. `shell` and `spawn` make calls of its tools; no `spawn`: the reason why.

    `shortens` is in the prompts by which the agent asks for a summary (`DROPS`: it asks for none and leaves out turns),
    empty when it never shortens its history, and `no_shortens` why. `ends`, `reports`: how it and its sub-agent end.
    `tells_exit`: its shell tool shows the model exit statuses. `context` is what it is told of the model, small enough
    that it must shorten. `lines` of output it reads at a time. `edits`: the whole answer of an agent without tools,
    whose other calls have `aside` in their prompts.
    """

    shell: Callable[[str], Message]
    spawn: Callable[[str], Message] | None
    no_spawn: str = ""
    shortens: str = ""
    no_shortens: str = ""
    ends: Callable[[], Message] = lambda: say("Done.")
    reports: Callable[[], Message] = lambda: say("SUB-DONE")
    context: int = 60_000
    lines: int = 1400
    tells_exit: bool = True
    edits: Callable[[], Message] | None = None
    aside: str = ""


@dataclass
class Part:
    """The model's part in one run: what to say to which conversation. Called under the engine's lock."""

    hands: Hands
    lanes: list[str] = field(default_factory=list)
    step: int = 0
    reads: int = 0
    sub: int = 0
    shortened: int = 0
    said: int = 0

    def __call__(self, seen: Seen, number: int) -> Message:
        lane = self.lane(seen)
        self.lanes.append(lane)
        if lane == "main":
            self.shortened += len(seen.user) < 0.8 * self.said
            self.said = len(seen.user)
        return getattr(self, lane)()  # type: ignore[no-any-return]

    def lane(self, seen: Seen) -> str:
        """Whose conversation this prompt belongs to."""
        if self.hands.shortens and re.search(self.hands.shortens, f"{seen.turns[0][1]}\n{seen.last}"):
            return "shorten"
        if not seen.tools and (not self.hands.edits or re.search(self.hands.aside, seen.turns[0][1])):
            return "title"
        users = seen.user
        if "SUBTASK-MARK-77" in users and "TASK-MARK-31: add" not in users and "SUMMARY-MARK-55" not in users:
            return "subagent"
        return "main"

    def title(self) -> Message:
        return say("Fix add")

    def shorten(self) -> Message:
        self.shortened += 1
        return say(f"<summary>{SUMMARY}</summary>")

    def subagent(self) -> Message:
        self.sub += 1
        return self.hands.shell("echo sub-1 > sub.txt; cat sub.txt") if self.sub == 1 else self.hands.reports()

    def main(self) -> Message:
        self.step += 1
        if self.hands.edits:
            return self.hands.edits() if self.step == 1 else self.hands.ends()
        if self.step == 1:
            return self.hands.shell("echo hello-1 > new.txt; cat new.txt")
        if self.step == 2 and self.hands.spawn is not None:
            return self.hands.spawn(SUBTASK)
        if self.hands.shortens and not self.shortened and self.reads < MOST_READS:
            self.reads += 1
            start = 100_000 * self.reads
            return self.hands.shell(f"seq {start} {start + self.hands.lines}")
        if "last" not in self.lanes:
            self.lanes[-1] = "last"
            return self.hands.shell("echo end-1 >> new.txt; exit 3")
        return self.hands.ends()


def bash_only(command: str) -> Message:
    return call("bash", command=command)


def described(name: str) -> Callable[[str], Message]:
    return lambda command: call(name, command=command, description="Run it")


def spawned(name: str, kind: str) -> Callable[[str], Message]:
    return lambda prompt: call(name, description="Sub task", prompt=prompt, subagent_type=kind)


HANDS = {
    "claude-code": Hands(
        described("Bash"),
        lambda prompt: call(
            "Agent", description="Sub task", prompt=prompt, subagent_type="general-purpose", run_in_background=False
        ),
        shortens=r"create a detailed summary of the conversation|summary of the conversation so far",
        context=100_000,
    ),
    "codex": Hands(
        lambda command: call("exec_command", cmd=command),
        lambda prompt: call("spawn_agent", message=prompt),
        shortens=r"performing a CONTEXT CHECKPOINT COMPACTION",
    ),
    "opencode": Hands(
        described("bash"),
        spawned("task", "general"),
        shortens=r"context summarization agent",
        tells_exit=False,
    ),
    "kilo-code": Hands(
        described("bash"),
        spawned("task", "general"),
        shortens=r"context summarization agent|anchored context summar|summarizing conversations",
        tells_exit=False,
    ),
    "qwen-code": Hands(
        lambda command: call("run_shell_command", command=command, description="Run it", is_background=False),
        spawned("agent", "general-purpose"),
        shortens=r"state_snapshot|summarizes internal chat history",
    ),
    "cline": Hands(
        lambda command: call("run_commands", commands=[command]),
        lambda prompt: call("spawn_agent", systemPrompt="You are a helper.", task=prompt),
        shortens=DROPS,
    ),
    "openclaw": Hands(
        lambda command: call("exec", command=command),
        None,
        no_spawn="sub-agents report through its Gateway process, which `agent exec` does not start",
        shortens=r"context summarization assistant",
    ),
    "gemini-cli": Hands(
        lambda command: call("run_shell_command", command=command, description="Run it"),
        lambda prompt: call("invoke_agent", agent_name="generalist", prompt=prompt),
        no_shortens="it shortens its history only where a user's prompt begins, and there is one prompt",
        reports=lambda: call("complete_task", result={"response": "SUB-DONE"}),
    ),
    "mini-swe-agent": Hands(
        bash_only,
        None,
        no_spawn="it has none",
        no_shortens="it never shortens its history",
        ends=lambda: bash_only("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"),
    ),
    "pi": Hands(bash_only, None, no_spawn="it has none", no_shortens="with `-p` it ends where it would"),
    "continue": Hands(
        lambda command: call("Bash", command=command),
        None,
        no_spawn="it has none in this mode",
        no_shortens="it did not, up to the end of its context",
        tells_exit=False,
    ),
    "copilot": Hands(
        described("bash"),
        lambda prompt: call(
            "task", name="sub", description="Sub task", prompt=prompt, agent_type="general-purpose", mode="sync"
        ),
        shortens=r"Please write the summary now, following",
    ),
    "gptme": Hands(
        lambda command: call("shell", command=command),
        None,
        no_spawn="it has none in this mode",
        no_shortens="it takes the context of a local model to be 128,000",
        ends=lambda: call("complete"),
    ),
    "nanocoder": Hands(
        lambda command: call("execute_bash", command=command),
        None,
        no_spawn="it finds none of its own in this mode",
        no_shortens="it did not, up to the end of its context",
    ),
    "grok-cli": Hands(bash_only, None, no_spawn="it has none", no_shortens="it never shortens its history"),
    "aider": Hands(
        bash_only,
        None,
        no_spawn="it has none",
        no_shortens="its one call ends its work",
        tells_exit=False,
        edits=lambda: say(EDIT),
        aside="commit message",
    ),
    "kimi-cli": Hands(
        lambda command: call("Shell", command=command),
        lambda prompt: call("Agent", description="Sub task", prompt=prompt, subagent_type="coder"),
        shortens=r"task to compact this conversation context",
    ),
    "openhands": Hands(
        # an `exit` would end the shell that all its commands share
        lambda command: call("terminal", command=f"({command})", security_risk="LOW"),
        lambda prompt: call(
            "task", description="Sub task", prompt=prompt, subagent_type="general-purpose", security_risk="LOW"
        ),
        no_shortens="it does after 80 events, which are more calls than the scenario has",
    ),
}


@dataclass(frozen=True)
class Played:
    """What came of it."""

    trajectory: Trajectory
    engine: PlayedEngine
    part: Part


def play(name: str, timeout_s: float = 180, table: str = "") -> Played:
    """Run the agent's real binary in a real box, through the gateway, on the scenario; `table` changes its row."""
    hands = HANDS[name]
    part = Part(hands)
    engine = PlayedEngine(load(), part)
    options = setup(
        scaffold=name,
        engine="sglang:http://played",
        label="played",
        timeout=timeout_s,
        context=hands.context,
        max_turns=40,
        table=table,
    )
    service = Service(options, engine)
    try:
        of = task()
        of.problem_statement = STATEMENT
        (attempt,) = attempts_at(of, options)
        return Played(roll(service, attempt), engine, part)
    finally:
        service.close()


def shared(name: str, samples: int = 8, jobs: int = 2) -> float:
    """The prefix overlap of samples of one small task in which each goes its own way from the first answer on.

    What they share is what the agent says before it: a moment or a random name in that parts them earlier.
    """
    hands, drawn = HANDS[name], count(1)

    def answer(seen: Seen, number: int) -> Message:
        if not seen.tools and not hands.edits:
            return say("Fix add")
        if any(role == "assistant" and text for role, text in seen.turns):
            return hands.ends()
        mine = next(drawn)
        return say(EDIT.replace("hello-1", f"hello-{mine}")) if hands.edits else hands.shell(f"echo {mine} > new.txt")

    options = setup(
        scaffold=name, engine="sglang:http://played", label="played", timeout=180, max_turns=12, samples=samples
    )
    service = Service(options, PlayedEngine(load(), answer))
    try:
        trees = [TokenTree.of(made) for made in rollouts([task()], options, service, jobs)]
    finally:
        service.close()
    return por(len(merge(trees)[0]), sum(tree.flat for tree in trees))
