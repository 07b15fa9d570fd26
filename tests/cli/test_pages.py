"""Man pages and completions: made from the code, correct as documents, and right when a shell asks."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from katcli.surface import COMMANDS, programs, surface
from tests.support import ROOT

PROGRAMS = [f"kat-{name.replace('_', '-')}" for name in COMMANDS]
COMPLETIONS = ROOT / "completions"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.mark.parametrize("script", ["manual", "completions", "schemas", "formats"])
def test_generated_files_are_what_the_code_says(script: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / f"{script}.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("prog", PROGRAMS)
def test_pages_and_scripts_are_well_formed(prog: str) -> None:
    checks = (
        ["mandoc", "-T", "lint", "-W", "warning", f"man/{prog}.1"],
        ["bash", "-n", f"completions/{prog}.bash"],
        ["zsh", "-n", f"completions/_{prog}"],
        ["fish", "-n", f"completions/{prog}.fish"],
    )
    for check in checks:
        done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), check


def flags_in_help(prog: str, sub: str) -> set[str]:
    text = subprocess.run([prog, *sub.split(), "--help"], capture_output=True, text=True, check=True).stdout
    listed = [line.split("  ")[1] for line in text.splitlines() if re.match(r"  -", line)]
    return {flag for entry in listed for flag in re.findall(r"(?<![\w-])--?[a-z][\w-]*", entry)} - {"-h", "--help"}


@pytest.mark.parametrize("program", list(programs()), ids=lambda program: program.prog)
def test_every_option_of_help_is_in_the_page_and_in_all_completions(program: object) -> None:
    page = (ROOT / "man" / f"{program.prog}.1").read_text().replace("\\-", "-")
    bash = (COMPLETIONS / f"{program.prog}.bash").read_text()
    zsh = (COMPLETIONS / f"_{program.prog}").read_text()
    fish = (COMPLETIONS / f"{program.prog}.fish").read_text()
    assert "<class" not in page and "@" not in page.replace("pass@1", "").replace("REL@STEPS", "")
    for name, command in program.commands.items():
        flags = flags_in_help(program.prog, name)
        assert flags and flags == {part for o in surface(command).options for f in o.flags for part in f.split("/")}
        for flag in flags:
            assert f"{flag}\\fR" in page, flag
            assert re.search(rf"{flag}\b", bash) and re.search(rf"{flag}\b", zsh), flag
            assert (f"-l {flag[2:]} " if flag.startswith("--") else f"-s {flag[1:]} ") in fish, flag


def bash_completes(line: str, cwd: Path) -> set[str]:
    prog = line.split()[0]
    words = line.split(" ")
    script = f"""
        source /usr/share/bash-completion/bash_completion; source {COMPLETIONS / prog}.bash
        COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
        COMP_WORDS=({" ".join(f"'{w}'" for w in words)}); COMP_CWORD={len(words) - 1}
        compopt() {{ :; }}
        _{prog.replace("-", "_")}; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], cwd=cwd, capture_output=True, text=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def fish_completes(line: str, cwd: Path) -> set[str]:
    prog = line.split()[0]
    command = f"source {COMPLETIONS / prog}.fish; complete -C '{line}'"
    done = subprocess.run(["fish", "--no-config", "-c", command], cwd=cwd, capture_output=True, text=True)
    return {row.split("\t")[0] for row in done.stdout.splitlines()}


def zsh_completes(line: str, cwd: Path) -> set[str]:
    """What a real interactive zsh shows after TAB."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.environ.update(TERM="dumb", COLUMNS="400", LINES="200", PS1="ready> ")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    for command in (
        "stty -echo cols 400 rows 200",
        f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=1000; setopt NO_BEEP",
    ):
        _until(fd, "ready> ")
        os.write(fd, command.encode() + b"\n")
    _until(fd, "ready> ")
    os.write(fd, line.encode() + b"\t")
    seen = _quiet(fd)
    os.kill(pid, signal.SIGKILL)
    os.close(fd)
    os.waitpid(pid, 0)
    return set(re.sub(r"[\x07\x08\r]", " ", ESCAPES.sub(" ", seen)).split())


def _until(fd: int, end: str) -> str:
    text, deadline = "", time.monotonic() + 20
    while not ESCAPES.sub("", text).endswith(end):
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"zsh says only {text!r}"
        text += os.read(fd, 4096).decode("utf-8", "replace")
    return text


def _quiet(fd: int) -> str:
    text, deadline = "", time.monotonic() + 10
    while time.monotonic() < deadline:
        ready, _, _ = select.select([fd], [], [], 1.0)
        if not ready and text:
            break
        if ready:
            text += os.read(fd, 4096).decode("utf-8", "replace")
    return text


SHELLS = {"bash": bash_completes, "zsh": zsh_completes, "fish": fish_completes}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kat-verify --sand", {"--sandbox"}),
        ("kat-verify --format ", {"jsonl", "zst", "parquet"}),
        ("kat-rollout --scaffold o", {"oracle"}),
        ("kat-rollout --sandbox b", {"bubblewrap"}),
        ("kat-rollout --model m", {"model"}),
        ("kat-mine rel", {"releases"}),
    ],
)
def test_tab_completes(shell: str, line: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    found = {word.rstrip("/") for word in SHELLS[shell](line, tmp_path)}
    whole = {line.split()[-1] + word if shell == "zsh" else word for word in found} | found
    assert expected <= found or expected <= whole


def test_engine_names_complete_after_the_colon(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert "embedded:" in fish_completes("kat-rollout --engine e", tmp_path)
    assert "embedded:model" in fish_completes("kat-rollout --engine embedded:m", tmp_path)


def test_help_imports_nothing_heavy() -> None:
    for prog in PROGRAMS:
        module = prog.removeprefix("kat-").replace("-", "_")
        code = (
            f"import sys; sys.argv = ['{prog}', '--help']\n"
            f"from katcli.{module} import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "heavy = {'torch', 'pyarrow', 'rich', 'pydantic', 'transformers', 'aiohttp'} & set(sys.modules)\n"
            "sys.exit(f'imported {heavy}' if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, (prog, done.stderr)


def test_completion_asks_only_the_standard_library() -> None:
    code = (
        "import sys; sys.argv = ['kat-complete', 'scaffold', '']\n"
        "before = set(sys.modules)\n"
        "from katcli.complete import main; main()\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "extra = {m for m in new if m not in sys.stdlib_module_names} - {'katcli', 'katcore'}\n"
        "sys.exit(f'imported {extra}' if extra else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"bash-loop", "oracle", "nop"} <= set(done.stdout.split())
