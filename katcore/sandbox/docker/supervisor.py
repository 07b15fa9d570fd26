"""The first process of a container: it ends all others on command, reaps what they leave, and dies with its runner.

In, on its standard input: `k`. Out: `r` once it is ready, `k` when no process but itself is left in the container. The
end of its input is the end of the runner, however that died: the container's processes go with it, and the engine
removes the container. It runs as the same user as everything else in the box; not being dumpable, it cannot be
traced or read by them, and the kernel keeps signals from inside away from a first process.

Being process 1 it can end a fork bomb that fills the limit: it needs no new process, and `kill(-1)` is atomic.
"""

from __future__ import annotations

READY, KILL = b"r", b"k"

SOURCE = """
import ctypes, os, signal, time
if ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) != 0:  # PR_SET_DUMPABLE
    os._exit(3)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def end():
    while True:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.0005)
os.write(1, b"r")
while said := os.read(0, 1):
    end()
    os.write(1, said)
end()
"""
