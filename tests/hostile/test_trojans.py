"""Programs of the attacker's under the names of those that grading runs."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.hostile_cases import FAILS, FORGE, Attack, patch, source

PLANT = f"""
import os, sys
os.makedirs('/tmp/kat-site/bin', exist_ok=True)
for name in ('python', 'python3', 'git', 'curl', 'sh', 'bash', 'head', 'cat', 'env'):
    path = '/tmp/kat-site/bin/' + name
    with open(path, 'w') as file:
        file.write('#!/opt/python/bin/python3\\n' + {FORGE!r})
    os.chmod(path, 0o755)
"""

pytestmark = pytest.mark.slow


def test_trojans(attack: Attack) -> None:
    """Planted by a set-up command that runs the attacker's code, on the PATH of the test run, in front."""
    environment = msgspec.structs.replace(attack.task.environment, setup=["/opt/env/bin/python -c 'import calm'"])
    task = msgspec.structs.replace(attack.task, environment=environment)
    assert attack.fails(source(PLANT), task).reason == FAILS, "absolute paths are run"


def test_trojans_in_the_repository(attack: Attack) -> None:
    files = dict.fromkeys(("python", "git", "curl", "bin/python"), "#!/bin/sh\nexit 0\n")
    assert attack.fails(patch(files)).reason == FAILS


def test_trojans_work_where_names_are_looked_up(attack: Attack) -> None:
    command = attack.task.environment.test_command.replace("/opt/env/bin/python", "python", 1)
    setup = ["/opt/env/bin/python -c 'import calm'"]
    environment = msgspec.structs.replace(attack.task.environment, setup=setup, test_command=command)
    task = msgspec.structs.replace(attack.task, environment=environment)
    attack.works(source(PLANT), "control", task=task)
    assert "forged" in attack.fails(source(PLANT), task).reason
