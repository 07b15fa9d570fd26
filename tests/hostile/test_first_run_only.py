"""Code under test that forges its results when it runs for the first time on a machine, and is honest from then on.

What a file's first read costs tells it: one run leaves it in the kernel's cache for the next. Here a shared folder
stands for that cache, so that the attack always works.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from katcore.sandbox import Mount
from katcore.verify import forgery, grader
from tests.support.hostile_cases import F2P, FORGE, Attack, source

pytestmark = pytest.mark.slow

FIRST = "import os\nif not os.path.exists('/opt/shared/seen'):\n    open('/opt/shared/seen', 'w').close()\n"
FIRST += "".join(f"    {line}\n" for line in FORGE.splitlines())
HANGS = FIRST + "else:\n    os._exit(0)\n"


@pytest.fixture
def shared(attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mount = Mount(tmp_path, "/opt/shared", writable=True)
    monkeypatch.setattr(grader, "box_spec", partial(grader.box_spec, mounts=(mount,)))
    return tmp_path / "seen"


@pytest.mark.parametrize("code", [FIRST, HANGS], ids=["honest-later", "nothing-later"])
def test_first_run_only(attack: Attack, shared: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = attack.fails(source(code))
    assert (verdict.flags, verdict.reason) == ([f"unsteady:{F2P}"], "1 tests do not pass again")
    shared.unlink()
    monkeypatch.setattr(forgery, "_unsteady", lambda *_: [])
    assert attack.unguarded(source(code)).reward == 1.0, "the control alone does not find it"
