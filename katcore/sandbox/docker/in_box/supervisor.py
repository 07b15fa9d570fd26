"""The first process of a container: it ends all others on command, reaps what they leave, and dies with its runner.

Python 3.8 or later, standard library alone. In, on its standard input: `k`. Out: `r` once it is ready, `k` when no
process but itself is left in the container. The end of its input is the end of the runner, however that died: the
container's processes go with it, and the engine removes the container.
"""

import ctypes
import os
import signal
import time

READY, KILL = b"r", b"k"
PR_SET_DUMPABLE = 4


def end() -> None:
    """End every other process, and those that they start meanwhile."""
    while True:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.0005)


def main() -> None:
    """End every other process at each byte on standard input, which is then echoed, and at the input's end."""
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        os._exit(3)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, READY)
    while said := os.read(0, 1):
        end()
        os.write(1, said)
    end()


if __name__ == "__main__":
    main()
