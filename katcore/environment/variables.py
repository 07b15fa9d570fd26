"""The variables that processes of a task see in its box.

In: a task's environment, and the box for its clock. Out: names and values, which are the same for builds, gradings and
agents.
"""

from __future__ import annotations

from katcore.environment import clock
from katcore.records import Environment
from katcore.sandbox import ENV, Box

RUN_ENV = {
    "PATH": f"/tmp/kat-site/bin:{ENV}/bin:/usr/local/bin:/usr/bin:/bin",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "PIP_NO_INDEX": "1",
    "CI": "1",
}
"""The variables that every test run sees, which `Environment.env` overrides."""


def run_env(environment: Environment, box: Box | None = None) -> dict[str, str]:
    """The environment variables of a task's processes; an image of its own sets its PATH itself.

    With the `box` that they run in also those of the task's clock, if it has one, which starts with its first process.
    """
    own = {name: value for name, value in RUN_ENV.items() if not (environment.image and name == "PATH")}
    return {**own, **environment.env, **({} if box is None else clock.variables(box, environment))}
