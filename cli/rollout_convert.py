"""kat-rollout convert: trajectories in other people's formats, and other people's trajectories."""

from __future__ import annotations

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.rollout.options import ConvertOptions


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("convert")(convert)


def convert(run: Run, options: ConvertOptions, files: Files = None) -> None:
    """Write trajectories as rows of another format, or read such rows as trajectories.

    atif is ATIF 1.7 of Harbor; openai and anthropic are rows of messages and tools; mini-swe-agent is its trajectory
    1.1; swe-bench are predictions; verifiers are its traces, whole trees. Rows are JSON lines; a JSON array, a document
    by itself and a folder of such files are read too. What a format cannot say goes into its free field under `kat`;
    what it cannot hold at all is counted in the summary as lost_turns, lost_tokens, lost_logprobs, lost_calls,
    lost_messages and lost_verdicts. Fields of a foreign row that a trajectory has no place for travel along in
    artifacts.origin: written in the same format, the row is what it was. With both --from and --to, rows of one format
    become rows of the other.

    --from claude-code, cline or codex reads the logs that these agents leave on a developer's disk, files or folders
    (~/.claude/projects, ~/.cline/data/sessions or the extension's tasks, ~/.codex/sessions): a trajectory of text for
    each session, with its sub-agents, compactions, changes of mode and turns that were taken back as branches. Names of
    home folders and of people, e-mail addresses, keys and tokens become placeholders, the same ones throughout a
    session; removed_home_paths, removed_names, removed_emails and removed_secrets in the summary say how often. What
    the logs do not tell is counted as lost_system_prompts, lost_attachments, lost_summaries (prompts that ask for one
    are not logged) and lost_calls. Look at what comes out before you share it.
    """
    from katcore.errors import UsageError
    from katcore.records import Task, Trajectory
    from katcore.trajectory import convert, work
    from katcore.trajectory.sessions.records import SESSIONS, session_items

    if options.to is None and options.source is None:
        raise UsageError("say which format: --to FORMAT or --from FORMAT")
    if options.to is not None:
        run.rows_only()
    if options.source in SESSIONS:
        found = session_items(options.source, files or [], run.count)
    elif options.source is not None:
        found = convert.foreign_items(options.source, files or [])
    else:
        found = work.items(run.read(files, Task, Trajectory), tasks=False)
    run.stage(convert.items(found, options.to or "", options.paths, run.count), convert.emit)
