"""The embedded engine as a process of its own, on a Unix socket that nobody else on the machine can reach.

In: a model folder. Out: a URL that answers. The process ends with the one that started it, however that went: its
standard input is a pipe, and the kernel closes the other end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from katcore.disk.scratch import new_folder
from katcore.errors import EngineError, InputError, UsageError
from katcore.model.placement import AUTO, Placement

_GRACE_S = 5.0
_ERRORS = {error.code: error for error in (UsageError, InputError)}
PREFIX = "embedded: "
"""What stands before the reason why the process cannot serve, in the last line that it says."""


class EngineProcess:
    """A running engine over a model folder; `close` ends it. KatError, as the process says it, when it cannot serve."""

    def __init__(self, folder: str | Path, placement: Placement = AUTO) -> None:
        self._folder = new_folder()
        self._said = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - `close` does
        command = [sys.executable, "-P", "-m", "katcore.engine.embedded.server", "--model", str(folder), "--child"]
        command += ["--socket", str(self._folder / "s"), "--device", placement.device, "--dtype", placement.dtype]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is for whoever started it, who ends it in good order
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        )
        try:
            assert self._process.stdout
            self.url = self._process.stdout.readline().decode().strip()
            if not self.url:
                raise self._reason()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def close(self) -> None:
        """End it at once, whatever it is doing. May be called twice."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _reason(self) -> Exception:
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().split("\n")
        if lines[-1].startswith(PREFIX):
            return _ERRORS.get(code, EngineError)(lines[-1].removeprefix(PREFIX))
        return EngineError(f"the embedded engine ended with {code}: {lines[-1][:300] or 'no word'}")
