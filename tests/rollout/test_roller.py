"""Rollouts end to end, in real boxes: what agents change, what they may see, how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcore.engine.scripted import bash
from katcore.environment.workspace import patched
from katcore.records import Task, Trajectory
from katcore.rollout.attempts import attempts_at
from katcore.rollout.roller import roll
from katcore.rollout.service import Service
from tests.support.options import setup
from tests.support.rollout_tasks import BASE, GOLD, task

pytestmark = pytest.mark.slow


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    """Roll out one task with these assistant messages."""
    services: list[Service] = []

    def run(*messages: dict[str, Any], of: Task | None = None, **options: Any) -> Trajectory:
        file = tmp_path / f"script-{len(services)}.jsonl"
        file.write_text(json.dumps({"messages": list(messages)}) + "\n")
        service = Service(setup(engine=f"scripted:{file}", **{"timeout": 60, **options}))
        services.append(service)
        (attempt,) = attempts_at(of or task(), service.setup)
        return roll(service, attempt)

    yield run
    for service in services:
        service.close()


def control(name: str, of: Task) -> Trajectory:
    service = Service(setup(scaffold=name, timeout=60))
    try:
        (attempt,) = attempts_at(of, service.setup)
        return roll(service, attempt)
    finally:
        service.close()


def observed(trajectory: Trajectory) -> str:
    return "\n".join(str((node.message or {}).get("content")) for node in trajectory.nodes if node.role == "tool")


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_oracle_makes_the_gold_tree(tmp_path: Path) -> None:
    of = task()
    made = control("oracle", of)
    assert made.exit.kind == "submitted" and made.scaffold.name == "oracle" and made.model == "oracle"
    with patched(of.source, of.patch) as gold, patched(of.source, made.patch or "") as got:
        assert files_of(got) == files_of(gold)
        assert files_of(got)["logo.bin"] == GOLD["logo.bin"]
    outcomes = [call.outcome for node in made.nodes for call in node.tool_calls]
    assert len(outcomes) == 4 and set(outcomes) == {"ok"}


def test_nop_changes_nothing() -> None:
    made = control("nop", task())
    assert made.patch == "" and made.exit.kind == "submitted" and len(made.calls) == 1


def test_scripted_tokens_count_as_sampled_without_log_probs() -> None:
    made = control("oracle", task())
    sampled = [node for node in made.nodes if node.sampled]
    assert len(sampled) == len(made.calls) == 5
    assert all(node.origin == "scripted" and node.engine_logprobs is None for node in sampled)
    assert made.tokenizer and all(call.engine == "oracle" for call in made.calls)


SCAN = """
import os
for top in ("/testbed", "/opt/scaffold", "/opt/env", "/tmp", "/run", "/etc", "/home", "/root", "/proc/self/environ"):
    for folder, _, names in [("", [], [top])] if os.path.isfile(top) else os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                data = open(path, "rb").read() if os.path.isfile(path) else b""
            except OSError:
                continue
            for word in (b"gold-" + b"marker", b"hidden-" + b"marker", b"test_hidden" + b"_5120"):
                if word in data or word in os.fsencode(path):
                    print("LEAK", path, word)
print("SCANNED")
"""


def test_nothing_of_the_solution_or_the_tests_is_in_the_box(script: Any) -> None:
    made = script(
        bash(f"/opt/python/bin/python3 -I - <<'EOF'\n{SCAN}\nEOF"),
        bash("env; git log --all --format=%H%s; cat .git/HEAD"),
    )
    seen = observed(made)
    assert "SCANNED" in seen and "LEAK" not in seen
    assert seen.count("base") == 1, "one commit, and no other"
    prompts = json.dumps([node.message for node in made.nodes if not node.sampled])
    assert "gold-marker" not in prompts.replace("LEAK", "") and "hidden-marker" not in prompts


def test_the_agents_commands_see_neither_key_nor_journal(script: Any) -> None:
    made = script(
        bash("env | grep -ci -e key -e token -e bearer; ls / /run/kat; cat /proc/$PPID/environ | tr '\\0' '\\n'")
    )
    assert "gateway.sock" in observed(made) and "Bearer" not in observed(made)


def test_the_patch_is_exact_whatever_the_agent_does(script: Any) -> None:
    commands = """
printf 'caf\\351\\n' > latin.txt
printf 'a\\r\\nb' > crlf.txt
printf '\\000\\001' > 'with space.bin'
echo x > 'ü.txt'
ln -s calc.py link.py
chmod +x calc.py
chmod -x tool.sh
rm README.md
mkdir -p build deep/er __pycache__ && echo junk > build/out && echo junk > x.log && echo junk > __pycache__/c.pyc
echo kept > deep/er/f
printf '* -diff\\n*.txt text eol=crlf\\n' > .gitattributes
head -c 2000000 /dev/zero > huge.bin
"""
    made = script(bash(commands))
    assert made.artifacts == {"left_out": ["huge.bin"]}
    with patched(task().source, made.patch) as got:
        files = files_of(got)
        assert files["latin.txt"] == b"caf\xe9\n" and files["crlf.txt"] == b"a\r\nb"
        assert files["with space.bin"] == b"\0\1" and files["ü.txt"] == b"x\n" and files["deep/er/f"] == b"kept\n"
        assert (got / "link.py").is_symlink() and (got / "link.py").readlink() == Path("calc.py")
        assert (got / "calc.py").stat().st_mode & 0o100 and not (got / "tool.sh").stat().st_mode & 0o100
        assert not {"README.md", "build/out", "x.log", "huge.bin", "__pycache__/c.pyc"} & set(files)


def test_lies_in_the_boxs_git_folder_change_nothing(script: Any) -> None:
    made = script(
        bash(
            "git -c user.name=x -c user.email=x@x commit -qam 'hide' --allow-empty; echo evil > calc.py; "
            "git add -A; git -c user.name=x -c user.email=x@x commit -qm more; "
            "git update-index --assume-unchanged calc.py; "
            "printf '[core]\\n\\tfsmonitor = touch /tmp/pwned\\n' >> .git/config; echo 'calc.py' > .git/info/exclude"
        )
    )
    assert "+evil" in made.patch and ".git" not in made.patch


def test_a_replaced_folder_and_a_file_become_each_other(script: Any) -> None:
    of = task(base={**BASE, "d/one.py": b"1\n", "f": b"2\n"}, gold={"f": b"3\n"})
    made = script(bash("rm -r d && echo file > d && rm f && mkdir f && echo in > f/in"), of=of)
    with patched(of.source, made.patch) as got:
        assert files_of(got)["d"] == b"file\n" and files_of(got)["f/in"] == b"in\n"


def test_the_turn_cap_is_typed(script: Any) -> None:
    made = script(*[bash("true")] * 9, max_turns=3)
    assert made.exit.kind == "turns" and len(made.calls) == 3


def test_the_wall_cap_is_typed_and_the_patch_is_kept(script: Any) -> None:
    made = script(bash("echo x > new.py; sleep 60"), command_timeout=90, timeout=2)
    assert made.exit.kind == "time" and "new.py" in made.patch


def test_an_agent_that_is_killed_is_an_agent_error(script: Any) -> None:
    made = script(bash("echo y > new.py; kill -9 $PPID"))
    assert made.exit.kind == "agent_error" and "new.py" in (made.patch or "")


def test_a_context_that_is_too_small_is_typed(script: Any) -> None:
    made = script(bash("seq 1 1000"), bash("true"), context=400)
    assert made.exit.kind == "context" and made.calls[-1].error


def test_concurrent_rollouts_share_one_gateway_and_give_the_same(tmp_path: Path) -> None:
    from katcore.rollout.roller import rollouts

    tasks = [task(f"calc-{n}") for n in range(3)]
    made = list(rollouts(tasks, setup(scaffold="oracle", samples=2, timeout=60), jobs=4))
    again = list(rollouts(tasks, setup(scaffold="oracle", samples=2, timeout=60), jobs=1))
    assert [t.id for t in made] == [t.id for t in again] and len({t.id for t in made}) == 6
    assert [t.nodes for t in made] == [t.nodes for t in again]
    assert {t.group_size for t in made} == {2} and len({t.group_id for t in made}) == 3


def test_setup_runs_first_and_is_no_change_of_the_agents(script: Any) -> None:
    of = task()
    of.environment.setup = ["echo built > generated.c; echo more >> README.md"]
    made = script(bash("cat generated.c; echo mine > mine.py"), of=of)
    assert "built" in observed(made) and "generated.c" not in made.patch and "README" not in made.patch
    assert "mine.py" in made.patch
