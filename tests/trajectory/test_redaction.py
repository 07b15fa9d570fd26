"""What is a person's in a session: taken out everywhere, the same placeholder for the same thing, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from katcore.trajectory.sessions.redaction import Redaction
from tests.support.session_logs import HOME, ClaudeLog, text, use, write

# Put together here, so that this file holds none.
KEYS = [
    "sk-" + "ant-api03-" + "aB3_" * 10,
    "sk-" + "proj-" + "aB3d" * 12,
    "ghp" + "_" + "aB3d" * 9,
    "github" + "_pat_" + "aB3d" * 8,
    "AKIA" + "ABCDEFGH12345678",
    "AIza" + "aB3d" * 8 + "xyz",
    "hf" + "_" + "aBcD" * 9,
    "xox" + "b-" + "123456789012-abcdef",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nAAAB\n-----END " + "OPENSSH PRIVATE KEY-----",
]


def redacted(*texts: str, own: str = "") -> tuple[list[str], dict[str, int]]:
    redaction = Redaction()
    redaction.learn(texts, own=[own] if own else [])
    return [redaction.text(each) for each in texts], dict(redaction.removed)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_keys(key: str) -> None:
    made, removed = redacted(f"set {key!s}", f'{{"key": "{key}"}} twice: {key}')
    assert all(key not in each for each in made) and removed == {"secrets": 3}
    assert made[0] == "set REMOVED_SECRET_1" and made[1].count("REMOVED_SECRET_1") == 2
    if "\n" in key:
        escaped = json.dumps(key)
        assert key.split("\n")[1] not in redacted(escaped)[0][0]


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        ("export MY_API_KEY=abcdef1234567890 && run", "abcdef1234567890"),
        ("DB_PASSWORD='hunter2hunter2'", "hunter2hunter2"),
        ("curl -H 'Authorization: Bearer abc.def-123456'", "abc.def-123456"),
        ("x-api-key: abcdef123456", "abcdef123456"),
        ('{"access_token": "abcdef1234567890"}', "abcdef1234567890"),
        ("postgres://app:s3cr3tpass@db:5432/x", "s3cr3tpass"),
        ("//registry.npmjs.org/:_authToken=abcdef12-3456", "abcdef12-3456"),
    ],
)
def test_what_stands_behind_a_name_that_says_so(given: str, secret: str) -> None:
    (made,), removed = redacted(given)
    assert made == given.replace(secret, "REMOVED_SECRET_1") and removed == {"secrets": 1}


def test_homes_and_the_name_of_the_sessions_own() -> None:
    made, removed = redacted(
        "cd /home/alice/src && ls /home/bob/.ssh /home/bob /Users/alice/x C:\\Users\\Carol\\x",
        "drwxr-xr-x 2 alice staff 64 Jan 1 src\nalice@host:~$ ~/.claude/projects/-home-alice-src\nmalice alice_x",
        own="/home/alice/src",
    )
    assert made[0] == "cd /home/user/src && ls /home/user2/.ssh /home/user2 /Users/user/x C:\\Users\\user3\\x"
    assert made[1] == (
        "drwxr-xr-x 2 user staff 64 Jan 1 src\nuser@host:~$ ~/.claude/projects/-home-user-src\nmalice user_x"
    )
    assert removed["home_paths"] == 5 and removed["names"] == 4


def test_people_and_addresses() -> None:
    made, removed = redacted(
        "Author: Alice van Example <alice@corp.org>\n\nReviewed and tested by Bob <bob@corp.rs>\n"
        "Signed-off-by: carol x <c@c.io>",
        "Thanks to Alice van Example and ALICE@corp.org; mailto:dan@corp.org ssh://eve@corp.org/x",
    )
    one, two, three = (f"Person {n} <person{n}@example.com>" for n in (1, 2, 3))
    assert made == [
        f"Author: {one}\n\nReviewed and tested by {two}\nSigned-off-by: {three}",
        "Thanks to Person 1 and person1@example.com; mailto:person4@example.com ssh://person5@example.com/x",
    ]
    assert removed == {"names": 4, "emails": 6}


@pytest.mark.parametrize(
    "given",
    [
        "Co-Authored-By: Claude <noreply@anthropic.com>",
        "git clone git@github.com:org/repo.git",
        "<img src='icon@2x.png'> @app.route('/home/settings') npm i @scope/pkg@1.2.3 user@example.com",
        "src/home/index.ts /tmp/home/.codex /home/ubuntu/x /home/$USER/x /root/x",
        "password = get_password()  # token = self.token; API_KEY=$API_KEY; api_key: str",
        "commit 3446eb12266fefa26fe21871fc44dfad31a883f2 sha256:7191387a4c138b57293a359a5f6e65c559f9a6b383709471",
        "SECRET_KEY=REMOVED_SECRET_1 TOKEN=xxxxxxxxxxxx Person 1 <person1@example.com> /home/user/x",
        "http://localhost:8000/x@y max(1, 2) node_modules/.pnpm/debug@4.3.4_supports-color@8.1.1 actions/checkout@v4",
    ],
)
def test_what_is_nobodys_stays(given: str) -> None:
    assert redacted(given, own="/home/max/x") == ([given], {})


def test_a_name_that_is_a_word_of_code_is_replaced_in_paths_alone() -> None:
    made, _ = redacted("max(1, 2) in /home/max/x", own="/home/max/x")
    assert made == ["max(1, 2) in /home/user/x"]


def test_what_is_changed_stays_changed() -> None:
    given = f"{KEYS[0]} /home/alice/x Alice <a@corp.org> b@corp.org PASSWORD=abcdefgh1234"
    (once,), _ = redacted(given, own="/home/alice/x")
    assert redacted(once, own="/home/user/x") == ([once], {})


def test_arguments_are_looked_at_unescaped() -> None:
    """`\\n` before an address is no letter of it, and what is JSON stays JSON."""
    redaction = Redaction()
    given = json.dumps({"command": "echo\nalice@corp.org", "path": "C:\\Users\\Carol\\x"})
    assert json.loads(redaction.arguments(given)) == {
        "command": "echo\nperson1@example.com", "path": "C:\\Users\\user\\x",
    }  # fmt: skip
    assert redaction.arguments('{"a":  1}') == '{"a":  1}' and redaction.arguments("{bad b@corp.org").endswith("com")


def test_a_session_without_what_is_a_persons(tmp_path: Path) -> None:
    log = ClaudeLog()
    log.user(f"Fix {HOME}/project/x.py. My key: {KEYS[0]}")
    log.says("m1", text("I look, alice."), use("a", f"git -C {HOME}/project log"))
    log.result("a", "Author: Alice Miller <alice@corp.org>")
    log.says("m2", text("Alice Miller wrote it."))
    path = write(tmp_path / "s.jsonl", log.lines)
    out = tmp_path / "out.jsonl"
    command = ["kat-rollout", "convert", "--from", "claude-code", path, "-o", out, "--log-format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = out.read_text()
    assert not any(word in said.lower() for word in ("alice", "miller", "corp.org", KEYS[0].lower(), str(tmp_path)))
    summary = json.loads(done.stderr.splitlines()[-1])
    counts = {name: n for name, n in summary.items() if name.startswith("removed_")}
    assert counts == {"removed_home_paths": 2, "removed_secrets": 1, "removed_names": 3, "removed_emails": 1}
