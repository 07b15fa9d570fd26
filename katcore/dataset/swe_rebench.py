"""SWE-rebench and its second version: SWE-bench's fields with a recipe for building and testing in `install_config`.

In: a row, or a task. Out: the other. V1 has JSON-like lists, `docker_image` or `image_name`, and works in `/testbed`;
V2 has 20 languages, `image_name`, `interface`, `pr_description`, `meta` and works in `/<repository>`. Test names of V2
may carry times (`foo [1.3 ms]`): they are kept as they are.
"""

from __future__ import annotations

import json
from typing import Any

from katcore.dataset.rows import text, texts, when
from katcore.dataset.swe_bench import WORKDIR, github, image_name
from katcore.records import Environment, Instruction, Json, Labels, Report, Task, TaskSource, Verification

RECIPE = "swe-rebench"
NEEDS = ("instance_id", "repo", "base_commit", "patch", "install_config")


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    name, repo, commit = text(row, "instance_id"), text(row, "repo"), text(row, "base_commit")
    install = _install(row)
    image = text(row, "image_name", "") or text(row, "docker_image", "")
    return Task(
        instance_id=name,
        repo=repo,
        base_commit=commit,
        created_at=when(row.get("created_at")),
        labels=Labels(language=text(row, "language", "")),
        license=text(row, "license", "") or text(row, "license_name", "") or None,
        problem_statement=text(row, "problem_statement", ""),
        instruction=Instruction(kind="human"),
        source=TaskSource(kind="git", url=github(repo), ref=commit),
        environment=Environment(
            recipe=RECIPE,
            base=str(install.get("base_image_name") or ""),
            setup=_commands(install.get("install")),
            workdir=f"/{repo.rpartition('/')[2]}" if row.get("language") else WORKDIR,
            test_command=" && ".join(_commands(install.get("test_cmd"))),
            report=Report(kind="log", path=str(install.get("log_parser") or "")),
            platform="linux-x86_64",
            image=image or image_name(name),
        ),
        verification=Verification(FAIL_TO_PASS=texts(row, "FAIL_TO_PASS"), PASS_TO_PASS=texts(row, "PASS_TO_PASS")),
        patch=text(row, "patch"),
        test_patch=text(row, "test_patch", ""),
    )


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
            "test_cmd": [place.test_command] if place.test_command else [],
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
