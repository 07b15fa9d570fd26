"""The command contract, on a real process of a small command that keeps it."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from katcore.records import Sample
from katcore.streams import read_records, zst
from katcore.streams.grow import load_journal
from tests.support import ROOT
from tests.support.waiting import until

COMMAND = [sys.executable, str(ROOT / "tests/support/sample_command.py")]


def samples(n: int, **texts: str) -> str:
    """n records; `s3="fail"` gives the record s3 that text."""
    rows = [{"schema": "kat.sample/1", "id": f"s{i}", "text": texts.get(f"s{i}", f"text {i}")} for i in range(n)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def run(*args: str, stdin: str = "", env: dict[str, str] | None = None, **kwargs: Any) -> subprocess.CompletedProcess:
    environ = {**os.environ, **(env or {})}
    return subprocess.run([*COMMAND, *args], input=stdin, env=environ, capture_output=True, text=True, **kwargs)


def texts(output: str) -> list[str]:
    return [json.loads(line)["text"] for line in output.splitlines()]


def bash(line: str, cwd: Path) -> subprocess.CompletedProcess:
    command = line.replace("KAT", " ".join(COMMAND))
    return subprocess.run(["bash", "-c", command], cwd=cwd, capture_output=True, text=True)


# --------------------------------------------------------------------------------------------- streams and codes


def test_standard_input_to_standard_output_in_order() -> None:
    done = run(stdin=samples(3))
    assert (done.returncode, texts(done.stdout)) == (0, ["TEXT 0", "TEXT 1", "TEXT 2"])


def test_dash_is_standard_input_and_files_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(samples(1, s0="a"))
    done = run(str(tmp_path / "a.jsonl"), "-", stdin=samples(1, s0="b"))
    assert texts(done.stdout) == ["A", "B"]


def test_no_input_on_a_terminal_is_a_usage_error() -> None:
    master, slave = pty.openpty()
    done = subprocess.run(COMMAND, stdin=slave, capture_output=True, text=True)
    os.close(master)
    os.close(slave)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "kat-sample: no input: name a file or pipe records in"


def test_a_reader_that_leaves_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text(samples(20000))
    done = bash("KAT -q many.jsonl | head -n 1; echo ${PIPESTATUS[@]}", tmp_path)
    assert done.stdout.splitlines()[1] == "0 0"
    assert done.stderr == ""


def test_help_whose_reader_leaves_is_no_failure(tmp_path: Path) -> None:
    assert bash("KAT --help | true; echo ${PIPESTATUS[@]}", tmp_path).stdout == "0 0\n"


@pytest.mark.parametrize("args", [(), ("say",)])
def test_a_full_disk_is_one_line_and_1(args: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *args], input=samples(2), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


def test_a_full_disk_under_an_output_file_is_one_line_and_1() -> None:
    done = run("-o", "/dev/full", stdin=samples(2))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "kat-sample: cannot write /dev/full: No space left on device"


def test_usage_errors_are_2() -> None:
    assert run("--nonsense").returncode == 2
    assert run("--jobs", "0").returncode == 2
    assert run("--shard", "2/2", stdin=samples(1)).returncode == 2
    assert run("--resume", stdin=samples(1)).returncode == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"schema":"kat.sample/1"', "truncated"),
        ("{}\n", "line 1"),
        ('{"schema":"kat.sample/2","id":"a"}\n', "kat.sample/2"),
        (samples(2) + '{"schema":"kat.sample/1","id":3}\n', "line 3"),
    ],
)
def test_bad_input_is_4_and_one_line_that_names_it(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    done = run(str(tmp_path / "bad.jsonl"), "-o", str(tmp_path / "out.jsonl"))
    assert done.returncode == 4
    assert says in done.stderr.splitlines()[0] and "bad.jsonl" in done.stderr.splitlines()[0]
    assert not (tmp_path / "out.jsonl").exists()


def test_a_mistake_of_ours_outside_a_record_is_one_line_unless_asked(tmp_path: Path) -> None:
    done = run(stdin=samples(1, s0="end"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[:2] == ["kat-sample: the world ended", "  hint: try tomorrow"]
    assert "Traceback" in run("-vv", stdin=samples(1, s0="end")).stderr


# --------------------------------------------------------------------------------------- rejects, dead letters


def test_dead_letters_are_kept_and_the_rest_goes_on(tmp_path: Path) -> None:
    done = run("--dead-letter", str(tmp_path / "dead"), stdin=samples(4, s1="fail", s2="bug"))
    assert (done.returncode, texts(done.stdout)) == (3, ["TEXT 0", "TEXT 3"])
    rows = [json.loads(line) for line in (tmp_path / "dead").read_text().splitlines()]
    assert [(row["id"], row["line"], row["stage"], row["error"]) for row in rows] == [
        ("s1", 2, "work", "cannot"),
        ("s2", 3, "internal", "ZeroDivisionError: oops"),
    ]
    assert (rows[0]["file"], rows[0]["record"]["text"]) == ("<stdin>", "fail")


def test_a_record_that_a_reader_would_refuse_is_not_written(tmp_path: Path) -> None:
    """A number that JSON has not, and half of a surrogate pair: only what leaves a stage is read again."""
    dead, out = tmp_path / "dead", tmp_path / "out.jsonl"
    done = run("--dead-letter", str(dead), "-o", str(out), stdin=samples(4, s1="unreadable", s2="half"))
    assert (done.returncode, texts(out.read_text())) == (3, ["TEXT 0", "TEXT 3"])
    rows = [json.loads(line) for line in dead.read_text().splitlines()]
    assert [(row["id"], row["line"], row["stage"]) for row in rows] == [("s1", 2, "output"), ("s2", 3, "output")]
    assert "Expected `float`, got `null` - at `$.weight`" in rows[0]["error"]
    assert "cannot be written as JSON" in rows[1]["error"]
    assert run(str(out)).returncode == 0


def test_rejects_are_a_normal_result(tmp_path: Path) -> None:
    done = run("--rejects", str(tmp_path / "rejects"), stdin=samples(3, s1="refuse"))
    assert (done.returncode, texts(done.stdout)) == (0, ["TEXT 0", "TEXT 2"])
    row = json.loads((tmp_path / "rejects").read_text())
    assert (row["id"], row["stage"], row["reason"], row["evidence"]) == ("s1", "taste", "not wanted", {"length": 6})


def test_names_that_are_no_utf8_are_told_as_escapes(tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    name.write_text(samples(2, s0="odd", s1="fail"))
    done = run("--rejects", str(tmp_path / "rejects"), "--dead-letter", str(tmp_path / "dead"), str(name))
    assert done.returncode == 3, done.stderr
    row = json.loads((tmp_path / "rejects").read_text())
    assert row["file"] == str(tmp_path / r"caf\udce9.jsonl") == json.loads((tmp_path / "dead").read_text())["file"]
    assert row["reason"] == r"not \udce9 wanted"
    assert row["evidence"] == {"files": [r"caf\udce9.rb", {r"\udce9": 1}]}


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    done = run("--strict", stdin=samples(4, s1="fail"))
    assert (done.returncode, texts(done.stdout)) == (3, ["TEXT 0"])


def test_max_failures_stops_after_that_many() -> None:
    every = {f"s{i}": "fail" for i in range(1, 5)}
    done = run("--max-failures", "2", stdin=samples(6, **every))
    assert (done.returncode, texts(done.stdout)) == (3, ["TEXT 0"])
    assert run("--max-failures", "4", stdin=samples(6, **every)).stdout.count("TEXT") == 2


# ------------------------------------------------------------------------------ signals, atomic output, resume


def test_output_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    process = subprocess.Popen([*COMMAND, "--sleep", "0.2", "-o", str(out)], stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(samples(30))
    process.stdin.close()
    deadline = time.monotonic() + 20
    while not out.with_name("out.jsonl.part").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not out.exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert not out.exists()


def _interruptible() -> None:
    """A background job of a script inherits an ignored SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_signals_end_it_after_clean_up(number: signal.Signals, code: int, jobs: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text(samples(100))
    out = tmp_path / "out.jsonl"
    command = [*COMMAND, "--sleep", "0.1", "-j", jobs, "-o", str(out), str(tmp_path / "in")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible)
    while not out.with_name("out.jsonl.journal").exists():
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(20) == code
    assert not out.exists() and not out.with_name("out.jsonl.lock").exists()
    assert run("--resume", "-o", str(out), str(tmp_path / "in")).returncode == 0
    assert texts(out.read_text()) == [f"TEXT {i}" for i in range(100)]


@pytest.mark.slow
def test_what_does_not_end_by_itself_is_cut_short_and_more_signals_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(samples(2, s1="stubborn"))
    command = [*COMMAND, "-o", str(tmp_path / "out.jsonl"), "--log-format", "json", str(tmp_path / "in")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until((tmp_path / "out.jsonl.journal").exists)
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    _, said = process.communicate(timeout=30)
    error, summary = map(json.loads, said.splitlines())
    assert process.returncode == error["code"] == summary["code"] == 143 and "cut short" in error["message"]
    (tmp_path / "in").write_text(samples(2))
    assert run("--resume", "-o", str(tmp_path / "out.jsonl"), str(tmp_path / "in")).returncode == 0
    assert texts((tmp_path / "out.jsonl").read_text()) == ["TEXT 0", "TEXT 1"]


@pytest.mark.slow
def test_a_service_has_the_time_that_it_needs_after_a_signal() -> None:
    process = subprocess.Popen([*COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    process.stdin.write(samples(2, s1="serve"))
    process.stdin.close()
    assert texts(process.stdout.readline()) == ["TEXT 0"]
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert texts(process.stdout.read()) == ["SERVE"] and process.wait(30) == 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.zst", "parquet"])
def test_resume_after_kill_9_loses_and_doubles_nothing(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text(samples(40, s7="refuse", s20="refuse"))
    out, rejects = tmp_path / f"out.{suffix}", tmp_path / "rejects"
    command = [
        *COMMAND,
        "--sleep",
        "0.02",
        "-j",
        "2",
        "--resume",
        "-o",
        str(out),
        "--rejects",
        str(rejects),
        str(source),
    ]
    draw = random.Random(suffix)
    for _ in range(4):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.3, 0.9))
        process.kill()
        process.wait()
    assert subprocess.run(command).returncode == 0
    again = run(str(out), "-q")
    assert texts(again.stdout) == [f"TEXT {i}" for i in range(40) if i not in (7, 20)]
    assert [json.loads(line)["id"] for line in rejects.read_text().splitlines()] == ["s7", "s20"]


def test_resume_of_a_finished_output_does_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert run("-o", str(out), stdin=samples(3)).returncode == 0
    before = out.stat()
    done = run("--resume", "-o", str(out), "--log-format", "json", stdin=samples(3))
    assert json.loads(done.stderr.splitlines()[-1])["skipped"] == 3
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.slow
def test_a_busy_output_is_75_and_lock_wait_waits(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    (tmp_path / "in").write_text(samples(10))
    first = subprocess.Popen([*COMMAND, "--sleep", "0.2", "-o", str(out), str(tmp_path / "in")])
    while not out.with_name("out.jsonl.lock").exists():
        time.sleep(0.02)
    busy = run("-o", str(out), stdin=samples(1))
    assert busy.returncode == 75 and "another run" in busy.stderr
    assert run("--lock-wait", "30", "-o", str(out), stdin=samples(1)).returncode == 0
    assert first.wait() == 0
    assert texts(out.read_text()) == ["TEXT 0"]


# ------------------------------------------------------------------------------------------------------------ order


def each(*args: str, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, "each", *args], stdin=subprocess.PIPE, text=True, **kwargs)


@pytest.mark.parametrize("form", ["jsonl", "zst"])
def test_a_record_is_written_when_it_is_done_and_waits_for_none_ahead_of_it(form: str, tmp_path: Path) -> None:
    """The first ends when all others are there, many more than the command may hold."""
    (tmp_path / "in").write_text(samples(40, s0="wait"))
    made, file = tmp_path / "out", tmp_path / "file"
    with made.open("wb") as out:
        process = each("-j", "2", "--file", str(file), "--format", form, str(tmp_path / "in"), stdout=out)
        found = until(lambda: len(ids := _so_far(made)) >= 39 and ids)
        assert "s0" not in found and process.poll() is None
        file.touch()
        assert process.wait(30) == 0
    assert _so_far(made) == [*found, "s0"] and sorted(found) == sorted(f"s{n}" for n in range(1, 40))


def _so_far(path: Path) -> list[str]:
    """Ids of the whole records of a file that grows."""
    data = path.read_bytes()
    if data[:1] not in (b"", b"{"):
        data = b"".join(zst.decompress(iter([data]), str(path), growing=True))
    return [json.loads(line)["id"] for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


def test_ordered_gives_the_order_of_the_input_whoever_ends_first(tmp_path: Path) -> None:
    given = samples(8, s0="wait", s3="make")
    for ask in (["--ordered"], []):
        process = each("-j", "4", "--file", str(tmp_path / f"file{len(ask)}"), *ask, stdout=subprocess.PIPE)
        found = [json.loads(line)["id"] for line in process.communicate(given, timeout=60)[0].splitlines()]
        assert (found == [f"s{n}" for n in range(8)]) == bool(ask)
        assert sorted(found) == [f"s{n}" for n in range(8)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.zst", "parquet"])
def test_what_was_done_out_of_order_is_known_after_kill_9_and_a_torn_line(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text(samples(30, s0="wait", s4="refuse", s9="wait"))
    out, file, rejects = tmp_path / f"out.{suffix}", tmp_path / "file", tmp_path / "rejects"
    args = ["-j", "3", "--resume", "-o", str(out), "--rejects", str(rejects), "--file", str(file), str(tmp_path / "in")]
    process = each(*args)
    journal, part = (out.with_name(f"{out.name}.{name}") for name in ("journal", "part"))
    until(lambda: len(load_keys(journal, part)) == 28)
    process.kill()
    process.wait()
    for path in (journal, part, rejects.with_name("rejects.part")):
        with path.open("ab") as torn:
            torn.write(b'{"keys":["kat.sample/1:s0"],"off')
    file.touch()
    done = run("each", *args, "--log-format", "json")
    assert done.returncode == 0 and json.loads(done.stderr.splitlines()[-1])["skipped"] == 28
    ids = [line.record.id for line in read_records([out]) if isinstance(line.record, Sample)]
    assert sorted(ids) == sorted(f"s{n}" for n in range(30) if n != 4) and set(ids[-2:]) == {"s0", "s9"}
    assert [json.loads(line)["id"] for line in rejects.read_text().splitlines()] == ["s4"]


def load_keys(journal: Path, part: Path) -> list[str]:
    return [key for entry in load_journal(journal, part)[0] for key in entry.keys]


def test_a_reader_that_leaves_ends_what_takes_long(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text(samples(20000, s0="wait"))
    done = bash("KAT each -q -j 3 many.jsonl | head -n 1; echo ${PIPESTATUS[@]}", tmp_path)
    assert done.stdout.splitlines()[1] == "0 0" and done.stderr == ""


# ------------------------------------------------------------------------------------- seeds, jobs, shards


def test_output_depends_neither_on_jobs_nor_on_shards() -> None:
    whole = run("--mark", stdin=samples(30)).stdout
    assert run("--mark", "-j", "4", "--sleep", "0.01", stdin=samples(30)).stdout == whole
    parts = [run("--mark", "--shard", f"{i}/3", stdin=samples(30)).stdout.splitlines() for i in range(3)]
    assert sorted(line for part in parts for line in part) == sorted(whole.splitlines())
    assert all(parts)


def test_seed_is_0_by_default_and_changes_what_is_random() -> None:
    default = run("--mark", stdin=samples(3)).stdout
    assert run("--mark", "--seed", "0", stdin=samples(3)).stdout == default
    assert run("--mark", "--seed", "1", stdin=samples(3)).stdout != default


# --------------------------------------------------------------------------------------------- configuration


def printed(cwd: Path, *args: str, env: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    done = run("--print-config", *args, env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    rows = [line.partition(" = ") for line in done.stdout.splitlines()]
    return {key.strip(): (rest.partition(" # ")[0].strip(), rest.partition(" # ")[2]) for key, _, rest in rows}


def test_precedence_is_flag_environment_config_project_user_default(tmp_path: Path) -> None:
    user = tmp_path / "config" / "kat"
    user.mkdir(parents=True)
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert printed(tmp_path, env=env)["sleep"] == ("0.0", "default")
    (user / "kat.toml").write_text("[sample]\nsleep = 1\n")
    assert printed(tmp_path, env=env)["sleep"] == ("1.0", "user kat.toml [sample]")
    (tmp_path / "kat.toml").write_text("sleep = 9\nseed = 7\n[sample]\nsleep = 2\n")
    assert printed(tmp_path, env=env)["sleep"] == ("2.0", "kat.toml [sample]")
    assert printed(tmp_path, env=env)["seed"] == ("7", "kat.toml")
    (tmp_path / "other.toml").write_text("sleep = 3\n")
    given = ("--config", "other.toml")
    assert printed(tmp_path, *given, env=env)["sleep"] == ("3.0", "other.toml")
    env["KAT_SLEEP"] = "4"
    assert printed(tmp_path, *given, env=env)["sleep"] == ("4.0", "environment KAT_SLEEP")
    env["KAT_SAMPLE_SLEEP"] = "5"
    assert printed(tmp_path, *given, env=env)["sleep"] == ("5.0", "environment KAT_SAMPLE_SLEEP")
    assert printed(tmp_path, "--sleep", "6", *given, env=env)["sleep"] == ("6.0", "flag")
    assert printed(tmp_path, "--no-config")["sleep"] == ("0.0", "default")


def test_lists_and_flags_from_the_environment(tmp_path: Path) -> None:
    seen = printed(tmp_path, env={"KAT_TAG": "a b", "KAT_MARK": "yes"})
    assert (seen["tag"][0], seen["mark"][0]) == ("a b", "True")


@pytest.mark.parametrize(
    "text", ["[sample]\nsleeep = 1\n", "[sample]\nsleep = 'long'\n", "not toml", "[sample]\nconfig = 'x'\n"]
)
def test_a_bad_configuration_is_2_and_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "kat.toml").write_text(text)
    done = run(stdin=samples(1), cwd=tmp_path)
    assert done.returncode == 2
    assert "kat.toml" in done.stderr.splitlines()[0] and "Traceback" not in done.stderr


def test_dry_run_plans_and_touches_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out" / "x.jsonl"
    done = run("--dry-run", "-o", str(out), "--log-format", "json", stdin=samples(5))
    assert done.returncode == 0 and done.stdout == ""
    summary = json.loads(done.stderr.splitlines()[-1])
    assert (summary["dry_run"], summary["planned"]) == (True, 5)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- messages


def test_json_logs_end_with_a_summary() -> None:
    done = run("--log-format", "json", stdin=samples(3, s1="refuse"))
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["kind"], last["in"], last["out"], last["rejected"], last["rejected_by"]) == (
        "summary", 3, 2, 1, {"taste": 1},
    )  # fmt: skip
    failed = [json.loads(line) for line in run("--log-format", "json", stdin=samples(1, s0="end")).stderr.splitlines()]
    assert [(line["kind"], line["code"]) for line in failed] == [("error", 1), ("summary", 1)]


def test_quiet_is_quiet() -> None:
    assert run("-q", stdin=samples(3)).stderr == ""


@pytest.mark.slow
def test_progress_only_on_a_terminal() -> None:
    assert "\r" not in run("--sleep", "0.15", stdin=samples(3)).stderr
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--sleep", "0.25"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=slave
    )
    os.close(slave)
    process.communicate(samples(4).encode())
    seen = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(master)
    assert b"\rkat-sample  in" in seen


def test_subcommands_and_version() -> None:
    assert run("say", "hi").stdout == "hi\n"
    assert run("--version").stdout.startswith("kat-sample 0.")
    assert "kat-sample say" in run("--help").stdout


def test_text_goes_whole_to_a_file(tmp_path: Path) -> None:
    assert run("say", "hi", "-o", str(tmp_path / "t")).returncode == 0
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("t", "hi\n")]


def test_a_package_that_an_extra_brings_is_asked_for_in_one_line() -> None:
    done = run("say", "torch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "kat-sample: torch is not installed", "  hint: pip install -e '.[train]', in KAT's checkout"
    ]  # fmt: skip
