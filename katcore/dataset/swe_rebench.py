"""SWE-rebench and its second version: SWE-bench's fields with a recipe for building and testing in `install_config`.

In: a row, or a task. Out: the other. V1 has JSON-like lists, `docker_image` or `image_name`, and works in `/testbed`;
V2 has 20 languages, `image_name`, `interface`, `pr_description`, `meta` and works in `/<repository>`. Test names of V2
may carry times (`foo [1.3 ms]`): they are kept as they are.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from katcore.dataset.rows import text, texts, when
from katcore.dataset.swe_bench import WORKDIR, image_name
from katcore.records import Benchmark, Environment, Instruction, Json, Labels, Report, Task, TaskSource, Verification
from katcore.source.diff import paths

RECIPE = "swe-rebench"
_CONDA = "[ ! -f /opt/miniconda3/bin/activate ] || . /opt/miniconda3/bin/activate testbed"
"""V1's images hold the task's packages in an environment of conda."""
_STRICT = "set -e"
NEEDS = ("instance_id", "repo", "base_commit", "patch", "install_config")


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    name, repo, commit = text(row, "instance_id"), text(row, "repo"), text(row, "base_commit")
    install = _install(row)
    image = text(row, "image_name", "") or text(row, "docker_image", "") or image_name(name)
    workdir = f"/{repo.rpartition('/')[2]}" if row.get("language") else WORKDIR
    return Task(
        instance_id=name,
        repo=repo,
        base_commit=commit,
        created_at=when(row.get("created_at")),
        benchmark=_benchmark(image),
        labels=Labels(language=text(row, "language", "")),
        license=text(row, "license", "") or text(row, "license_name", "") or None,
        problem_statement=text(row, "problem_statement", ""),
        instruction=Instruction(kind="human"),
        source=TaskSource(kind="image", url=image, ref=workdir),
        environment=Environment(
            recipe=RECIPE,
            workdir=workdir,
            test_command=_script(row, _commands(install.get("test_cmd"))),
            report=Report(kind="log", path=str(install.get("log_parser") or "")),
            platform="linux-x86_64",
            image=image,
        ),
        verification=Verification(FAIL_TO_PASS=texts(row, "FAIL_TO_PASS"), PASS_TO_PASS=texts(row, "PASS_TO_PASS")),
        patch=text(row, "patch"),
        test_patch=text(row, "test_patch", ""),
    )


def _benchmark(image: str) -> Benchmark | None:
    """By whose image it is; the second version has a name of its own in the images alone."""
    if "swerebenchv2/" in image:
        return Benchmark(name="swe-rebench", version="v2")
    return Benchmark(name="swe-rebench") if "swerebench/" in image else None


def _script(row: Json, commands: list[str]) -> str:
    """What is run in the image after the tests' patch: V2's commands as they are, V1's on the files of that patch."""
    if row.get("language"):
        return "\n".join([_STRICT, *commands]) if commands else ""
    return "\n".join([_CONDA, *commands]) + _files(text(row, "test_patch", "")) if commands else ""


def _test_commands(task: Task) -> list[str]:
    """The inverse."""
    first, _, rest = task.environment.test_command.partition("\n")
    if first == _STRICT:
        return rest.split("\n")
    return [rest.removesuffix(_files(task.test_patch))] if first == _CONDA else _commands(task.environment.test_command)


def _files(test_patch: str) -> str:
    return "".join(f" {shlex.quote(name)}" for name in paths(test_patch) if name.endswith(".py"))


def from_task(task: Task) -> Json:
    """A row of the second version."""
    place = task.environment
    return {
        "instance_id": task.instance_id,
        "repo": task.repo,
        "base_commit": task.base_commit,
        "created_at": task.created_at,
        "patch": task.patch,
        "test_patch": task.test_patch,
        "problem_statement": task.problem_statement,
        "FAIL_TO_PASS": list(task.verification.FAIL_TO_PASS),
        "PASS_TO_PASS": list(task.verification.PASS_TO_PASS),
        "image_name": place.image or image_name(task.instance_id),
        "language": task.labels.language,
        "license": task.license or "",
        "install_config": {
            "base_image_name": place.base,
            "install": list(place.setup),
            "log_parser": place.report.path if place.report.kind == "log" else "parse_log_pytest",
            "test_cmd": _test_commands(task),
        },
    }


def _install(row: Json) -> Json:
    value = row.get("install_config")
    value = json.loads(value) if isinstance(value, str) else value
    if not isinstance(value or {}, dict):
        raise TypeError("install_config is not an object")
    return value or {}


def _commands(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    return [str(part) for part in value or []]
