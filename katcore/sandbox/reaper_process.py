"""The reaper's own process: it waits for its runner's end, then removes what is left of the runner's boxes.

Run by its path, with `python -I -S`, by `reaper.py`. In: the folder that KAT is imported from, the runner's folder for
boxes; on standard input a byte at an orderly end, nothing but its end at any other. Its first process ends at once. One
lives beside every runner: KAT is imported when there is something to do, and not before.
"""

import os
import signal
import sys


def main(packages: str, folder: str) -> None:
    """Wait until the process that started this one is gone, then sweep until its folder is gone."""
    if os.fork():
        os._exit(0)  # nobody's child: what ends a runner may end its children with it, as Ray does
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(0, 1):
        os._exit(0)  # an orderly end
    sys.path.insert(0, packages)
    import time
    from pathlib import Path

    from katcore.disk import scratch
    from katcore.sandbox import owner
    from katcore.sandbox.limits import parents

    for _ in range(100):  # the kernel may still be closing what the runner held
        owner.sweep(parents())
        scratch.sweep()
        if not Path(folder).exists():
            break
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
