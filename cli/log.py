"""What a command says on standard error: messages as text or JSON lines, a progress line on a terminal, a summary."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


class Log:
    """Writes messages; never to standard output, which is for data alone."""

    def __init__(self, prog: str, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.prog = prog
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.started = time.monotonic()
        own = f"{prog}.{os.getpid()}"
        parent = os.environ.get("KAT_SID", "")
        self.sid = parent if parent.endswith(own) else f"{parent}/{own}".lstrip("/")
        os.environ["KAT_SID"] = self.sid  # whatever this command starts is its child in the logs
        self._progress = sys.stderr.isatty() and not quiet and not as_json
        self._drawn = 0.0
        self._width = 0

    def event(self, kind: str, **fields: Any) -> None:
        """Write one event as a JSON line; `kind` is status, warning, error, summary or exit."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"kind": kind, "v": 1, "sid": self.sid, "prog": self.prog, "time": stamp, **fields}
        import json  # only where it is written: help and completion do without

        self._write(json.dumps(line, ensure_ascii=False, default=str))

    def status(self, text: str, level: int = 0) -> None:
        """Write a message that -q silences; one of `level` 1 is shown with -v."""
        if self.quiet or level > self.verbose:
            return
        self._say("status", text)

    def warning(self, text: str) -> None:
        """Write a warning, which -q silences."""
        if not self.quiet:
            self._say("warning", f"warning: {text}" if not self.as_json else text)

    def error(self, text: str, hint: str = "", code: int = 1) -> None:
        """Write why the command ends, in one line, and a hint on the next."""
        if self.as_json:
            self.event("error", message=text, hint=hint, code=code)
            return
        self._write(f"{self.prog}: {text}")
        if hint:
            self._write(f"  hint: {hint}")

    def traceback(self, error: BaseException) -> None:
        """Write where an error came from, with -vv or KAT_DEBUG."""
        if self.verbose >= 2 or os.environ.get("KAT_DEBUG"):
            import traceback

            traceback.print_exception(error)

    def summary(self, code: int, counts: dict[str, Any]) -> None:
        """Write the last line of a run: always in the JSON log; for people only when the run came to its end."""
        self.clear()
        seconds = round(time.monotonic() - self.started, 3)
        if self.as_json:
            self.event("summary", code=code, seconds=seconds, **counts)
            return
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items() if _worth(name, value))
        if told and code in (0, 3) and not self.quiet:
            self._write(f"{self.prog}: {told}, {seconds:.1f} s")

    @property
    def shows_progress(self) -> bool:
        """Whether the log shows a progress line that rewrites itself."""
        return self._progress

    def progress(self, counts: dict[str, Any]) -> None:
        """Show these counts in the progress line, on a terminal only."""
        now = time.monotonic()
        if not self._progress or now - self._drawn < 0.2:
            return
        self._drawn = now
        told = "  ".join(f"{name} {value}" for name, value in counts.items() if _worth(name, value))
        line = f"{self.prog}  {told}  {now - self.started:.0f} s"
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def clear(self) -> None:
        """Remove the progress line from the terminal."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
            self._width = 0

    def _say(self, kind: str, text: str) -> None:
        if self.as_json:
            self.event(kind, message=text)
        else:
            self._write(f"{self.prog}: {text}")

    def _write(self, line: str) -> None:
        self.clear()
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (BrokenPipeError, ValueError):  # nobody listens: the exit code still tells
            pass


def _worth(name: str, value: Any) -> bool:
    return name != "seed" and not isinstance(value, dict | list) and value not in (0, "", None, False)
