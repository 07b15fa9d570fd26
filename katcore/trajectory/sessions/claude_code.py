"""Claude Code's logs: `~/.claude/projects/FOLDER/SESSION.jsonl`, sub-agents in `SESSION/subagents/agent-*.jsonl`.

Lines are linked by `uuid` and `parentUuid`; one answer is several lines of one `message.id`, and the results of its
calls hang on any of them. An edited prompt is a second line below one parent. At a `compact_boundary` the links begin
anew; lines that it names as preserved follow the summary. Reminders are `attachment` lines whose text is `rendered`.
Newer versions log the system prompt and the tools too (`api-request-shape`, `prompt_snapshot`). What is not there: the
prompt that asks for a summary, and the system prompts and tools of older versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from katcore.records import Boundary, Json
from katcore.trajectory.formats.kept import time_of
from katcore.trajectory.sessions import ModelCall, Session, SessionFiles, files_of, tool_of
from katcore.trajectory.sessions.blocks import FINISH_REASONS, answer_of, blocks_of, result_of, text_of, usage_of
from katcore.trajectory.sessions.lines import first_line, read_lines

AGENT = "agent-"
_TAGS = re.compile(r"\A<system-reminder>\n(.*?)\n</system-reminder>\n?\Z", re.DOTALL)
ATTRIBUTION = "x-anthropic-billing-header:"
"""How the part of a system prompt begins that changes with every request."""
SYNTHETIC = "<synthetic>"
"""The model of answers that the program wrote itself: an error of the API, an interruption."""


def find(paths: Sequence[Path]) -> Iterator[SessionFiles]:
    """One session for each log; those of sub-agents belong to the session that they name."""
    logs = list(dict.fromkeys(files_of(paths, "*.jsonl")))
    folders: dict[Path, dict[str, list[Path]]] = {}
    taken: set[Path] = set()
    for log in logs:
        if not log.name.startswith(AGENT):
            if log.parent not in folders:
                folders[log.parent] = _agents(log.parent)
            below = sorted((log.parent / log.stem / "subagents").glob(f"{AGENT}*.jsonl"))
            beside = folders[log.parent].get(log.stem, [])
            taken |= {*below, *beside}
            yield SessionFiles(log.stem, (log, *below, *beside))
    for log in logs:
        if log.name.startswith(AGENT) and log not in taken:
            yield SessionFiles(f"{_session_of(log)}/{log.stem}", (log,))


def read(files: SessionFiles) -> Session:
    """The calls of a session, in the order of their time."""
    session = Session()
    for path in files.paths:
        _Log(read_lines(path, session.cut), session).read()
    return session.in_order()


def _agents(folder: Path) -> dict[str, list[Path]]:
    """The logs of sub-agents that lie in a folder of sessions, by their session."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"{AGENT}*.jsonl")):
        found.setdefault(_session_of(path), []).append(path)
    return found


def _session_of(path: Path) -> str:
    return str(first_line(path).get("sessionId") or "")


class _Log:
    """One file of lines. A turn that many calls were shown becomes messages once."""

    def __init__(self, lines: list[Json], session: Session) -> None:
        self._session = session
        self._lines = {str(line["uuid"]): line for line in lines if line.get("uuid")}
        self._answers: dict[str, list[Json]] = {}  # the lines of each answer
        self._results: dict[str, list[Json]] = {}  # by the call that they answer
        self._kept: dict[str, list[str]] = {}  # lines that stayed at a compaction, by the one that they follow
        self._roots: dict[str, str] = {}
        self._shapes = {str(line["shapeHash"]): line.get("shape") for line in lines if "shape" in line}
        self._requests = {str(line["id"]): line for line in lines if line.get("type") == "api-request"}
        self._followed = {line.get("parentUuid") for line in lines if line.get("type") == "assistant"}
        self._turns_made: dict[tuple[str, ...], list[Json]] = {}
        self._bare = False  # whether some call has no system prompt
        self._shapes_made: dict[str, tuple[list[Json], list[Json]]] = {}
        for line in lines:
            self._note(line)

    def read(self) -> None:
        """Add the calls of this log to the session."""
        modes: dict[str, str] = {}
        ahead: dict[str, Boundary] = {}  # what the next call of each agent begins with
        for uuid, line in self._lines.items():
            agent = str(line.get("agentId") or self._roots[uuid]) if line.get("isSidechain") else ""
            mode = line.get("permissionMode")
            if isinstance(mode, str):
                if modes.setdefault(agent, mode) != mode:
                    ahead.setdefault(agent, "mode")
                modes[agent] = mode
            if line.get("subtype") == "compact_boundary":
                ahead[agent] = "compaction"
            if self._begins(line):
                self._session.calls.append(self._call(line, agent, ahead.pop(agent, "none")))

    # ------------------------------------------------------------------ lines

    def _note(self, line: Json) -> None:
        session = self._session
        session.version = session.version or str(line.get("version") or "")
        if (folder := line.get("cwd")) and folder not in session.folders:
            session.folders.append(str(folder))
        if not (uuid := line.get("uuid")):
            return
        parent = str(line.get("parentUuid"))
        self._roots[str(uuid)] = self._roots.get(parent, str(uuid))
        message = line.get("message")
        if isinstance(message, dict) and line.get("type") == "assistant":
            self._answers.setdefault(_answer_id(line), []).append(line)
        for block in blocks_of(message.get("content")) if isinstance(message, dict) else ():
            if block.get("type") == "tool_result":
                self._results.setdefault(str(block.get("tool_use_id")), []).append(line)
        told = line.get("compactMetadata")
        kept = told.get("preservedMessages") if isinstance(told, dict) else None
        if isinstance(kept, dict) and isinstance(kept.get("uuids"), list):
            self._kept[str(kept.get("anchorUuid"))] = list(map(str, kept["uuids"]))
        if line.get("type") == "attachment" and not isinstance(line.get("rendered"), list):
            session.lost["attachments"] += _attachment(line).get("type") != "prompt_snapshot"

    def _begins(self, line: Json) -> bool:
        """Whether a line is the first one of an answer that a model gave."""
        message = line.get("message")
        if line.get("type") != "assistant" or not isinstance(message, dict) or message.get("model") == SYNTHETIC:
            return False
        return self._answers[_answer_id(line)][0] is line and not line.get("isApiErrorMessage")

    # ------------------------------------------------------------------ one call

    def _call(self, line: Json, agent: str, boundary: Boundary) -> ModelCall:
        lines = self._answers[_answer_id(line)]
        last, path = lines[-1]["message"], self._path(line.get("parentUuid"))
        system, tools = self._shape(line, path)
        model = str(last.get("model") or "")
        self._session.model = self._session.model or model
        (answer,) = self._messages(lines)
        return ModelCall(
            messages=[*system, *chain.from_iterable(map(self._messages, self._turns(path)))],
            answer=answer,
            tools=tools,
            agent=agent,
            boundary=boundary,
            started_at=time_of(line.get("timestamp")),
            usage=usage_of(last.get("usage")),
            model=model,
            finish_reason=FINISH_REASONS.get(str(last.get("stop_reason")), ""),
        )

    def _path(self, uuid: Any) -> list[Json]:
        """The lines from the root to this one, with what a compaction kept."""
        found: list[Json] = []
        seen: set[str] = set()
        while uuid in self._lines and uuid not in seen:
            seen.add(uuid)
            found += [self._lines[kept] for kept in reversed(self._kept.get(uuid, [])) if kept in self._lines]
            found.append(self._lines[uuid])
            uuid = found[-1].get("parentUuid")
        return found[::-1]

    def _turns(self, path: list[Json]) -> Iterator[list[Json]]:
        """The lines of a path as turns: all lines of an answer, else what was said in between."""
        done = {str(line["uuid"]) for line in path}
        answers: set[str] = set()
        turn: list[Json] = []
        for line in path:
            if line.get("type") != "assistant":
                turn.append(line)
            elif (name := _answer_id(line)) not in answers:
                answers.add(name)
                yield turn
                yield self._answers[name]
                turn = list(self._elsewhere(name, done))
        yield turn

    def _elsewhere(self, answer: str, done: set[str]) -> Iterator[Json]:
        """The results of an answer's calls that hang on another of its lines than the path goes through."""
        for line in self._answers[answer]:
            for block in blocks_of(line["message"].get("content")):
                for result in self._results.get(str(block.get("id")), []) if block.get("type") == "tool_use" else ():
                    uuid = str(result["uuid"])
                    if uuid not in done and uuid not in self._followed:  # else it belongs to another branch
                        done.add(uuid)
                        yield result

    def _shape(self, line: Json, path: list[Json]) -> tuple[list[Json], list[Json]]:
        """The system prompt and the tools of a call, as far as they are logged."""
        request = self._requests.get(str(line.get("requestRef")), {})
        name = str(request.get("shapeHash"))
        shape = self._shapes.get(name)
        if not isinstance(shape, dict):
            shots = (each for each in reversed(path) if _attachment(each).get("type") == "prompt_snapshot")
            shot = next(shots, {})
            name, given = str(shot.get("uuid")), _attachment(shot)
            tools = [each.get("schema") or each for each in given.get("tools") or []]
            shape = {"system": given.get("systemPrompt"), "tools": tools}
        if name not in self._shapes_made:
            self._shapes_made[name] = _read_shape(shape)
        found = self._shapes_made[name]
        if not found[0] and not self._bare:
            self._bare = True
            self._session.lost["system_prompts"] += 1
        return found

    def _messages(self, turn: list[Json]) -> list[Json]:
        key = tuple(str(line["uuid"]) for line in turn)
        if key not in self._turns_made:
            self._turns_made[key] = list(_messages(turn))
        return self._turns_made[key]


def _attachment(line: Json) -> Json:
    found = line.get("attachment")
    return found if isinstance(found, dict) else {}


def _answer_id(line: Json) -> str:
    return str(line["message"].get("id") or line["uuid"])


def _read_shape(shape: Json) -> tuple[list[Json], list[Json]]:
    texts = [each if isinstance(each, str) else text_of(each) for each in shape.get("system") or []]
    texts = [text for text in texts if not text.startswith(ATTRIBUTION)]
    tools = [
        tool_of(each["name"], each.get("description"), each.get("input_schema"))
        for each in shape.get("tools") or []
        if isinstance(each, dict) and each.get("name")
    ]
    return [{"role": "system", "content": "\n\n".join(texts)}] if texts else [], tools


def _messages(lines: list[Json]) -> Iterator[Json]:
    """A turn as messages: results first, then the reminders and what the user says, then the system's."""
    if lines and lines[0].get("type") == "assistant":
        yield answer_of(chain.from_iterable(blocks_of(line["message"].get("content")) for line in lines))
        return
    said: list[str] = []
    reminders: dict[str, list[str]] = {"user": [], "system": []}
    for line in lines:
        for block in blocks_of((line.get("message") or {}).get("content")) if line.get("type") == "user" else ():
            if block.get("type") == "tool_result":
                yield result_of(block)
            else:
                said.append(text_of(block))
        if line.get("type") == "attachment":
            reminders["system" if line.get("renderedRole") == "system" else "user"] += _rendered(line)
    if said and reminders["user"]:
        reminders["user"][-1] += "\n"  # so it stands in prompts, ahead of the user's words
    for role, texts in (("user", reminders["user"] + said), ("system", reminders["system"])):
        if texts:
            yield {"role": role, "content": "\n\n".join(texts)}


def _rendered(line: Json) -> list[str]:
    """The texts of a reminder; those of the system's stand in prompts without their tags."""
    shown = [each for each in line.get("rendered") or [] if isinstance(each, dict) and each.get("content")]
    texts = ["".join(map(text_of, blocks_of(each["content"]))) for each in shown]
    return [_TAGS.sub(r"\1", text) for text in texts] if line.get("renderedRole") == "system" else texts
