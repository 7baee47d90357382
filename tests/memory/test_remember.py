"""What is remembered is a note like any other: named, tagged, not doubled, without secrets, linked to its like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from avm import AVM
from avm_builtin.memory.redaction import redact
from avm_builtin.memory.remembering import file_name
from vfs_core.errors import Denied, Invalid, NotFound


def test_a_note_is_private_and_says_what_is_known_of_it(avm: AVM) -> None:
    done = avm.agent_memory().remember("NVDA showing weakness", tags=["nvda", "market"], importance=0.9)
    assert (done.path, done.stored) == ("/memory/private/trader/nvda_showing_weakness.md", True)
    node = avm.read(done.path)
    assert node.text == "NVDA showing weakness"
    assert {key: node.meta[key] for key in ("author", "importance", "tags")} == {
        "author": "trader",
        "importance": 0.9,
        "tags": ["market", "nvda"],
    }


@pytest.mark.parametrize(
    ("namespace", "directory"),
    [
        (None, "/memory/private/trader"),
        ("private", "/memory/private/trader"),
        ("shared", "/memory/shared"),
        ("team", "/memory/shared/team"),
        ("shared/team", "/memory/shared/team"),
        ("/memory/lessons", "/memory/lessons"),
        ("/private/diary", "/memory/private/trader/diary"),
    ],
)
def test_a_namespace_is_a_directory(avm: AVM, namespace: str | None, directory: str) -> None:
    done = avm.agent_memory().remember("text", title="a", namespace=namespace)
    assert done.path == f"{directory}/a.md"


def test_anothers_private_space_is_refused(avm: AVM) -> None:
    with pytest.raises((Denied, NotFound)):
        avm.agent_memory().remember("text", namespace="/memory/private/kuro")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("NVDA: RSI > 70!", "nvda_rsi_70"),
        ("中东局势紧张", "中东局势紧张"),
        ("../../etc/passwd", "etc_passwd"),
        ("///", "note"),
        ("lesson:shared", "lesson_shared"),
        ("局" * 100, "局" * 20),
        ("@abc?x=1", "abc_x_1"),
    ],
)
def test_a_name_is_the_words_of_the_title(title: str, name: str) -> None:
    assert file_name(title) == name


def test_another_text_of_the_same_title_gets_another_name(avm: AVM) -> None:
    memory = avm.agent_memory()
    made = [memory.remember(f"text {'x' * number} number {number}", title="same") for number in range(25)]
    assert len({done.path for done in made}) == 25
    assert made[1].path.endswith("/same_2.md")


def test_the_same_text_is_not_stored_twice_in_a_space(avm: AVM) -> None:
    memory = avm.agent_memory()
    first = memory.remember("a quokka is a marsupial of Rottnest")
    again = memory.remember("a quokka is a marsupial of Rottnest")
    shared = memory.remember("a quokka is a marsupial of Rottnest", namespace="shared")
    assert (again.path, again.stored) == (first.path, False)
    assert shared.stored and len(avm.list("/private")) == 1


def test_what_is_nearly_the_same_is_stored_linked_and_reported(avm: AVM) -> None:
    memory = avm.agent_memory()
    text = "the committee raised interest rates by a quarter of a point on Wednesday to fight inflation"
    first = memory.remember(text)
    second = memory.remember(f"{text} again")
    assert second.stored and [each.path for each in second.similar] == [first.path]
    assert [(link.kind, link.target) for link in avm.links(second.path)] == [("related", first.path)]


def test_sources_are_linked_and_what_is_superseded_is_kept(avm: AVM) -> None:
    memory = avm.agent_memory()
    a, b = memory.remember("first finding"), memory.remember("second finding entirely different")
    both = memory.remember("a conclusion", derived_from=[a.path, b.path], supersedes=a.path)
    links = {(link.kind, link.target) for link in avm.links(both.path)}
    assert {("derived", a.path), ("derived", b.path), ("supersedes", a.path)} <= links
    assert avm.read(a.path).text == "first finding"


def test_what_cannot_be_is_refused_before_anything_is_stored(avm: AVM) -> None:
    memory = avm.agent_memory()
    for broken in (
        lambda: memory.remember(" \n"),
        lambda: memory.remember("x", importance=2),
        lambda: memory.remember("x", importance=float("nan")),
        lambda: memory.remember("x", tags=["a,b"]),
        lambda: memory.remember("x", supersedes="/memory/a.md:tags"),
    ):
        with pytest.raises(Invalid):
            broken()
    with pytest.raises(NotFound):
        memory.remember("x", derived_from=["/memory/none"])
    assert avm.stats().notes == 0


# --- secrets -------------------------------------------------------------------------------------

SECRETS = [
    ("ghp_" + "a1" * 20, "GitHub token"),
    ("sk-ant-api03-" + "Ab1_" * 10, "Anthropic key"),
    ("sk-proj-" + "Ab1_" * 10, "OpenAI key"),
    ("AKIAIOSFODNN7EXAMPLE", "AWS access key"),
    ("AIza" + "b" * 35, "Google API key"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "JSON web token"),
    (
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----",
        "private key",
    ),
]


@pytest.mark.parametrize(("secret", "kind"), SECRETS)
def test_a_secret_is_taken_out_wherever_it_stands(avm: AVM, secret: str, kind: str) -> None:
    done = avm.agent_memory().remember(f"deploy uses {secret} since May", namespace="shared")
    assert done.redacted == (kind,)
    assert avm.read(done.path).text == f"deploy uses [redacted: {kind}] since May"


def test_who_says_so_keeps_them(avm: AVM) -> None:
    done = avm.agent_memory().remember("deploy uses AKIAIOSFODNN7EXAMPLE", keep_secrets=True)
    assert (done.redacted, avm.read(done.path).text) == ((), "deploy uses AKIAIOSFODNN7EXAMPLE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password: hunter2hunter2", "password: [redacted: password]"),
        ('"api_key": "abc123def456"', '"api_key": "[redacted: api_key]"'),
        ("DB_PASSWORD=S3cr3t!pass", "DB_PASSWORD=[redacted: db_password]"),
        ("postgres://app:s3cret!@db/x", "postgres://[redacted: password]@db/x"),
    ],
)
def test_a_named_secret_is_taken_out(text: str, expected: str) -> None:
    assert redact(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "the secret: patience and compounding",
        "token budget: 4000",
        "max_tokens=4000",
        "a password manager is a good idea",
        "key: value",
        "see https://example.com/a@b",
        "sk-learn is a library",
    ],
)
def test_prose_is_left_alone(text: str) -> None:
    assert redact(text) == (text, ())


# --- many at once --------------------------------------------------------------------------------


def test_what_several_processes_remember_at_once_is_all_there(avm: AVM, tmp_path: Path) -> None:
    code = (
        "import sys; from avm import AVM\n"
        "with AVM(db=sys.argv[1], agent='trader') as avm:\n"
        "    memory = avm.agent_memory()\n"
        "    for n in range(25): memory.remember(f'process {sys.argv[2]} saw event {n} of its own', title='event')\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "avm.db"), name]) for name in "abcd"
    ]
    assert [process.wait(120) for process in running] == [0] * 4
    texts = {avm.read(entry.path).text for entry in avm.list("/private")}
    assert texts == {f"process {name} saw event {n} of its own" for name in "abcd" for n in range(25)}
