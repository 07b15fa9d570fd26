"""Harbor and Terminal-Bench tasks: a folder with `task.toml`, `instruction.md`, `environment/`, `tests/`, `solution/`.

In: such a folder as a row (path -> file, and `.` -> the folder's name), or a task. Out: the other. The task's
repository is what the Dockerfile copies into the working folder; its one test is Harbor's: `tests/test.sh` writes a
reward to `/logs/verifier/reward.txt` (or `reward.json`), which passes from 1 on. The solution is kept among the
references: it is a script and no patch; `solve.py` makes a patch of it. Tasks of several steps and of compose files are
refused.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from katcore.dataset import files
from katcore.dataset.benchmark import told_by_name
from katcore.dataset.inline import archive
from katcore.dataset.rows import EPOCH, when
from katcore.disk.in_box import program
from katcore.errors import InputError, RecordError
from katcore.records import Benchmark, Environment, Instruction, Json, Labels, Task, TaskSource, Verification
from katcore.streams.foreign import ForeignRow

RECIPE = "harbor"
REWARD = "harbor::reward"
KEPT = ".harbor-tests/"
"""Where the test files lie in the repository until the test command moves them to `/tests`."""
NAME = "."
_RUN = """export KAT_PYTHON=/opt/python/bin/python3
mkdir -p /tmp/tests /tmp/logs/verifier /tmp/logs/agent /tmp/logs/artifacts
rm -f /tmp/logs/verifier/reward.*
cp -a .harbor-tests/. /tmp/tests/ && rm -rf .harbor-tests
bash /tests/test.sh
"""


def is_task(path: Path) -> bool:
    """Whether a folder is a task."""
    return (path / "task.toml").is_file()


def read_harbor(path: Path) -> Iterator[ForeignRow]:
    """The task of a folder, or of every folder below it that is one."""
    if not path.is_dir():
        raise InputError(f"{path}: a Harbor task is a folder with a task.toml")
    folders = [path] if is_task(path) else sorted(toml.parent for toml in path.rglob("task.toml"))
    if not folders:
        raise InputError(f"{path}: no task.toml in it")
    for folder in folders:
        try:
            yield ForeignRow({NAME: folder.name} | files.read_folder(folder), str(folder), folder)
        except (RecordError, OSError) as error:
            yield ForeignRow({}, str(folder), folder, fault=files.unusable(folder, error))


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name what is not as it should be."""
    toml = tomllib.loads(_text(row, "task.toml"))
    if toml.get("steps"):
        raise ValueError("task.toml: tasks of several steps are not supported")
    if any(name.startswith("environment/") and "compose" in name for name in row):
        raise ValueError("environment: tasks of several services are not supported")
    place, metadata = toml.get("environment", {}), toml.get("metadata", {})
    docker = _text(row, "environment/Dockerfile") if "environment/Dockerfile" in row else None
    workdir, env, shown = _dockerfile(docker or "", _below(row, "environment/"))
    env |= {name: str(value) for name, value in place.get("env", {}).items() if "${" not in str(value)}
    workdir = str(place.get("workdir") or workdir)
    name = str(toml.get("task", {}).get("name") or row[NAME])
    _text(row, "tests/test.sh")
    return Task(
        instance_id=name,
        repo="",
        base_commit="",
        created_at=when(metadata.get("created_at")) if metadata.get("created_at") else EPOCH,
        domain="terminal",
        benchmark=_benchmark(name),
        labels=Labels(context=str(metadata.get("category", ""))),
        problem_statement=_text(row, "instruction.md"),
        instruction=Instruction(kind="human"),
        source=_source(place.get("docker_image"), workdir, shown),
        environment=Environment(
            recipe=RECIPE,
            workdir=workdir,
            test_command=_test_command(),
            env=env,
            dockerfile=docker,
            image=place.get("docker_image"),
        ),
        verification=Verification(
            FAIL_TO_PASS=[REWARD], references=[{"kind": "solution", "files": _below(row, "solution/")}]
        ),
        test_files={KEPT + path: files.as_test_file(file) for path, file in _below(row, "tests/").items()},
    )


def _test_command() -> str:
    """Harbor's test, and then what says its reward as a report."""
    told = shlex.quote(program("katcore.dataset", "harbor_reward"))
    return f'{_RUN}exec "$KAT_PYTHON" -I -c {told} "$KAT_REPORT"\n'


def _benchmark(name: str) -> Benchmark | None:
    """By the organisation that a task's name begins with, where that is a benchmark's: `terminal-bench/…`."""
    told = told_by_name("harbor", name.rpartition("/")[0])
    return Benchmark(name=told.name, version=told.version) if told.name else None


def _source(image: str | None, workdir: str, shown: Mapping[str, Json]) -> TaskSource:
    """What the agent finds in the working folder: that of a finished image, else what the Dockerfile copies there."""
    if image:
        return TaskSource(kind="image", url=image, ref=workdir)
    return TaskSource(kind="inline", url=archive(shown))


def from_task(task: Task) -> Json:
    """The files that a task holds; those of `environment/` beside the Dockerfile are kept by `origin.py`."""
    references = task.verification.references or []
    solution = references[0].get("files", {}) if references else {}
    row: Json = {
        NAME: task.instance_id.rpartition("/")[2],
        "task.toml": _file(toml_of(task, built=task.environment.dockerfile is not None)),
        "instruction.md": _file(task.problem_statement),
    }
    if task.environment.dockerfile is not None:
        row["environment/Dockerfile"] = _file(task.environment.dockerfile)
    for path, file in task.test_files.items():
        row["tests/" + path.removeprefix(KEPT)] = files.from_test_file(file)
    return row | {f"solution/{path}": file for path, file in solution.items()}


def toml_of(task: Task, *, built: bool = False) -> str:
    """A `task.toml` for a task; verification and agent have no network. `built`: its image comes from a Dockerfile."""
    name = files.safe_name(task.instance_id.rpartition("/")[2])
    lines = [
        'schema_version = "1.4"', "", "[task]", f'name = "kat/{name}"', "", "[metadata]",
        f'instance_id = {_toml(task.instance_id)}', f'repo = {_toml(task.repo)}',
        f'base_commit = {_toml(task.base_commit)}', f'created_at = {_toml(task.created_at)}',
        f'category = {_toml(task.labels.context or "software-engineering")}', "",
        "[agent]", "timeout_sec = 1800.0", "", "[verifier]", "timeout_sec = 1800.0", "",
        "[environment]", "build_timeout_sec = 1800.0", "cpus = 1", "memory_mb = 4096", "storage_mb = 10240",
        'network_mode = "no-network"', f"workdir = {_toml(task.environment.workdir)}",
    ]  # fmt: skip
    if task.environment.image and not built:
        lines.append(f"docker_image = {_toml(task.environment.image)}")
    return "\n".join(lines) + "\n"


def _dockerfile(text: str, context: Mapping[str, Json]) -> tuple[str, dict[str, str], dict[str, Json]]:
    """The working folder, the variables, and the files that end up below the working folder, by their place in it."""
    workdir, env = "/", dict[str, str]()
    copied: dict[str, Json] = {}
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "WORKDIR":
            workdir = posixpath.join(workdir, rest.strip().strip('"'))
        elif word.upper() == "ENV" and "=" in rest:
            env |= dict(part.split("=", 1) for part in shlex.split(rest) if "=" in part)
        elif word.upper() in ("COPY", "ADD") and "--from" not in rest:
            copied |= _copied(shlex.split(rest), workdir, context)
    workdir = workdir if workdir != "/" else "/app"
    top = workdir.rstrip("/") + "/"
    return workdir, env, {path[len(top) :]: file for path, file in copied.items() if path.startswith(top)}


def _copied(words: list[str], workdir: str, context: Mapping[str, Json]) -> dict[str, Json]:
    """Absolute path in the image -> file, of one COPY."""
    words = [word for word in words if not word.startswith("--")]
    if len(words) < 2:
        return {}
    *sources, target = words
    into = posixpath.join(workdir, target)
    found = {}
    for source in (posixpath.normpath(one).lstrip("/") for one in sources):
        if source in context:
            folder = target.endswith(("/", ".")) or len(sources) > 1
            found[posixpath.normpath(posixpath.join(into, posixpath.basename(source)) if folder else into)] = context[
                source
            ]
            continue
        prefix = "" if source == "." else source + "/"
        for name, file in context.items():
            if name.startswith(prefix) and name not in ("Dockerfile", ".dockerignore"):
                found[posixpath.normpath(posixpath.join(into, name[len(prefix) :]))] = file
    return found


def _below(row: Json, prefix: str) -> dict[str, Json]:
    return {name[len(prefix) :]: file for name, file in row.items() if name.startswith(prefix)}


def _text(row: Json, name: str) -> str:
    file = row[name]
    if not isinstance(file, dict) or "text" not in file:
        raise TypeError(f"{name} is not text")
    return str(file["text"])


def _file(text: str) -> Json:
    return {"text": text, "mode": "100644"}


def _toml(value: str) -> str:
    import json

    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
