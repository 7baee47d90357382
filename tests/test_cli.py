"""The command line as its users meet it: real processes, an empty home, no configuration."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from vfs_core.kernel import Kernel

AVM = (sys.executable, "-m", "avm")


def avm(
    *arguments: str | bytes, stdin: bytes = b"", timeout: float = 60, **settings: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run `avm` to its end."""
    return subprocess.run(
        [*AVM, *arguments], input=stdin, capture_output=True, timeout=timeout, check=False, **settings
    )


def out(*arguments: str | bytes, stdin: bytes = b"") -> str:
    """The data that a command prints; it must succeed."""
    done = avm(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def code(*arguments: str, stdin: bytes = b"") -> int:
    """The exit code, of a process that never shows a traceback."""
    done = avm(*arguments, stdin=stdin)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert (done.returncode == 0) or done.stderr.startswith((b"avm: ", b"nothing found"))
    return done.returncode


def in_home(path: str) -> Path:
    return Path.home() / path


# --- the first minute ----------------------------------------------------------------------------


def test_reading_before_anything_was_written_makes_nothing() -> None:
    assert out("ls") == "private\nshared\n"
    assert code("read", "lesson.md") == 3
    assert code("search", "x") == 6
    assert out("stats").startswith("agent ")
    assert not in_home(".local").exists()
    assert not in_home(".config").exists()


def test_the_first_write_makes_the_store_for_its_owner_only_and_needs_no_configuration() -> None:
    done = avm("write", "lesson.md", "--content", "Never risk more than 2%")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"/memory/lesson.md version 1\n"
    store = in_home(".local/share/avm/avm.db")
    assert store.parent.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in store.parent.iterdir()} == {0o600}
    assert not in_home(".config").exists()
    first, second = out("search", "risk").splitlines()
    assert first.endswith("] /memory/lesson.md")
    assert second == "    Never risk more than 2%"


def test_two_agents_append_to_one_shared_note() -> None:
    out("append", "/shared/log.md", "-a", "alice", stdin=b"from alice\n")
    out("append", "/shared/log.md", "-a", "bob", stdin=b"from bob\n")
    assert out("read", "/shared/log.md", "--agent", "carol") == "from alice\nfrom bob\n"


def test_appends_of_processes_at_the_same_time_are_all_there() -> None:
    running = [
        subprocess.Popen([*AVM, "append", "/shared/log", "-a", f"a{n}", "--content", f"{n}\n"], stderr=-3)
        for n in range(6)
    ]
    assert [each.wait(60) for each in running] == [0] * 6
    assert sorted(out("read", "/shared/log").split()) == [str(n) for n in range(6)]


def test_the_lines_of_the_seed_work_as_written() -> None:
    out("write", "/memory/lesson.md", "--content", "New lesson")
    assert out("read", "/memory/lesson.md") == "New lesson"
    out("write", "/memory/rsi.md", "--content", "RSI above 70")
    assert "/memory/rsi.md" in out("search", "RSI")
    out("write", "/memory/old-name.md", "--content", "x")
    out("mv", "/memory/old-name.md", "/memory/new-name.md")
    assert out("read", "/memory/new-name.md") == "x"
    for name in ("news-1", "news-2", "newspaper"):
        out("write", f"/memory/{name}", "--content", name)
    moved = avm("mv", "/memory/news-", "/memory/archive/news-")
    assert moved.stderr == b"moved 2 names\n"
    assert out("ls", "/memory/archive") == "news-1\nnews-2\n"
    out("write", "/memory/2024/a/b.md", "--content", "y")
    out("mv", "/memory/2024/", "/archive/2024/")
    assert out("read", "/archive/2024/a/b.md") == "y"


# --- what goes in comes out ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"no newline", b"\x00\xff\xfe\r\n\x1b[31m", "中东局势紧张\n".encode(), os.urandom(300_000)],
    ids=["empty", "plain", "binary", "chinese", "large"],
)
def test_content_goes_in_and_comes_out_byte_for_byte(content: bytes) -> None:
    avm("write", "x", stdin=content)
    assert avm("read", "x").stdout == content


def test_content_and_names_in_any_script_are_found_in_any_locale() -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    avm("write", "新闻.md", "--content", "中东局势紧张", env=environment)
    assert "新闻.md" in avm("ls", env=environment).stdout.decode()
    for query in ("局势", "紧张", "局势紧张"):
        assert "[" in avm("search", query, env=environment).stdout.decode()
        assert "中东局势紧张" in out("search", query)


@pytest.mark.parametrize("query", ["", '"', "*", "risk AND reward", "NOT", "a/b", "((", "x" * 100_000])
def test_any_text_is_a_valid_query(query: str) -> None:
    out("write", "x", "--content", "risk and reward")
    assert code("search", query) in (0, 6)


def test_global_options_are_the_same_before_and_after_a_command() -> None:
    store = str(in_home("other.db"))
    out("--db", store, "-a", "bob", "write", "/private/x", "--content", "1")
    assert out("read", "/private/x", "--db", store, "--user", "bob") == "1"
    assert json.loads(out("--json", "ls", "/private", "--db", store, "-a", "bob"))[0]["name"] == "x"
    assert code("read", "/private/x", "--db", store) == 3


def test_a_path_may_name_a_virtual_node() -> None:
    out("write", "x", "--content", "1", "--tag", "a")
    assert out("read", "x:tags").strip() == "a"
    out("write", "x:tags", stdin=b"b,c")
    assert out("tag", "x") == "b\nc\n"


# --- who may -------------------------------------------------------------------------------------


def test_what_an_agent_may_not_know_of_looks_like_what_is_not_there() -> None:
    out("write", "/private/secret.md", "-a", "bob", "--content", "hidden words", "--tag", "hush")
    out("write", "open.md", "-a", "bob", "--content", "open words")
    hidden, missing = "/memory/private/bob/secret.md", "/memory/private/bob/nothing.md"
    for command in (
        ("read",), ("cat",), ("ls",), ("rm",), ("links",), ("tag",), ("access",), ("export", "-"),
        ("append", "--content", "x"), ("mv", "/memory/open.md"),
    ):  # fmt: skip
        answers = [avm(*command, path, "-a", "alice") for path in (hidden, missing)]
        texts = [
            each.stderr.decode().replace(path, "PATH")
            for each, path in zip(answers, (hidden, missing), strict=True)
        ]
        assert texts[0] == texts[1], command
        assert [each.returncode for each in answers] == [3, 3], command
        assert [each.stdout for each in answers] == [b"", b""], command
    everything = [
        out(*command, "-a", "alice")
        for command in (("ls", "-R", "/"), ("search", "words"), ("tag",), ("stats",), ("export", "-"))
    ]
    assert not [text for text in everything if "secret" in text or "hush" in text or "hidden" in text]
    assert "1 (10 B)" in everything[3]


@pytest.mark.parametrize("name", ["../x", "", "a/b", "@all", "-x", "a b", "x" * 65, "\x1b[31m"])
def test_an_agent_cannot_have_just_any_name(name: str) -> None:
    assert code("--agent", name, "write", "x", "--content", "1") == 2
    assert not in_home(".local").exists()


# --- exit codes and messages ---------------------------------------------------------------------


def test_each_kind_of_failure_has_its_exit_code() -> None:
    out("write", "x", "--content", "1")
    out("write", "mine", "--content", "1", "-a", "bob")
    with Kernel() as kernel:
        kernel.session("bob").set_mode("/memory/mine", 0o644)
    assert code("ls") == 0
    assert code("write", "/", "--content", "1") == 1
    assert code("write") == 2
    assert code("frobnicate") == 2
    assert code("--frobnicate") == 2
    assert code("link", "x", "mine", "--kind", "Not A Kind") == 2
    assert code("read", "nothing") == 3
    assert code("append", "mine", "--content", "1", "-a", "carol") == 4
    assert code("write", "x", "--content", "2", "--base-version", "7") == 5
    assert code("mkdir", "x") == 5
    assert code("search", "unheard") == 6
    assert code("ls", "--config", "nowhere.yaml") == 7
    assert code("ls", "--db", __file__) == 8
    assert out("read", "x") == "1"


def test_wrong_usage_says_what_is_right() -> None:
    assert b"Did you mean search?" in avm("serach", "x").stderr
    assert b"avm write --help" in avm("write").stderr
    assert b"put '--'" in avm("search", "-x").stderr
    assert b"echo TEXT |" in on_terminal("write", "x")[1]


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_change_no_exit_code(redirections: str) -> None:
    out("write", "x", "--content", "1")
    for command, expected in (("read x", 0), ("read nothing", 3), ("write y --content 2", 0)):
        line = f"{sys.executable} -m avm {command} {redirections}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=60)
        assert done.returncode == expected, (line, done.stderr)
    assert out("read", "y") == "2"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_an_error() -> None:
    out("write", "x", "--content", "1")
    for command in ("read x", "ls", "ls --json", "export -", "--help"):
        line = f"{sys.executable} -m avm {command} > /dev/full"
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (9, b"avm: No space left on device\n"), command


def test_without_a_command_the_help_goes_to_standard_error() -> None:
    done = avm()
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Exit codes:" in done.stderr
    assert (code("config"), avm("config").stdout) == (2, b"")


def test_the_help_begins_with_the_eight_everyday_commands() -> None:
    lines = out("--help").split("Every day:\n")[1].splitlines()
    assert [line.split()[0] for line in lines[:8]] == [
        "write", "read", "append", "ls", "search", "mv", "rm", "link",
    ]  # fmt: skip


def test_an_unexpected_error_is_one_line_unless_asked_for_more(tmp_path: Path) -> None:
    (tmp_path / "exploding.py").write_text(
        "import click\nfrom vfs_core.hookspecs import hookimpl\nfrom vfs_core.specs import CommandSpec\n"
        "@click.command()\ndef boom():\n    raise ZeroDivisionError('over there')\n"
        "@hookimpl\ndef avm_register_commands():\n    return [CommandSpec('boom', boom)]\n"
    )
    (tmp_path / "c.yaml").write_text("plugins: {load: [exploding]}\n")
    python_path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": python_path, "AVM_CONFIG": str(tmp_path / "c.yaml")}
    done = avm("boom", env=environment)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert done.stderr.startswith(b"avm: ZeroDivisionError: over there")
    assert b"Traceback" in avm("boom", env={**environment, "AVM_DEBUG": "1"}).stderr


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    with Kernel() as kernel:
        kernel.session().write_many([(f"/memory/{n:04}{'x' * 90}", b"") for n in range(2000)])
    with subprocess.Popen([*AVM, "ls", "-R", "/"], stdout=-1, stderr=-1) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"memory\n"
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(60) == 141


def test_an_interrupted_import_says_how_far_it_came() -> None:
    lines = b"".join(b'{"path": "/memory/%d", "content": "x"}\n' % n for n in range(250))
    with subprocess.Popen([*AVM, "import", "-"], stdin=-1, stdout=-1, stderr=-1) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(lines + b"not json\n")
        running.stdin.flush()
        assert b"not JSON" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
        assert running.wait(60) == 130
    assert b"200 notes imported, 1 failed so far" in said
    assert said.endswith(b"avm: interrupted\n")
    assert len(out("ls").split()) == 202


# --- terminals -----------------------------------------------------------------------------------


def on_terminal(*arguments: str) -> tuple[int, bytes]:
    """The exit code and the output of a command that somebody looks at."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*AVM, *arguments], stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break  # how Linux says that the other end is closed
            if not piece:
                break
            shown += piece
        os.close(ours)
        return running.wait(60), shown.replace(b"\r\n", b"\n")


def test_names_cannot_move_the_cursor_of_a_terminal() -> None:
    hostile = "\x1b[2Jgone\u202etxt\x07"
    out("write", hostile, "--content", "some \x1b[31m words")
    escaped = b"\\x1b[2Jgone\\u202etxt\\x07"
    for command in (("ls",), ("ls", "-l"), ("ls", "-R"), ("search", "words"), ("access", hostile)):
        shown = on_terminal(*command)[1]
        assert escaped in shown, command
        assert b"\x1b[2J" not in shown, command
        assert b"\x1b[31m" not in shown, command
    assert on_terminal("read", hostile)[1] == b"some \x1b[31m words"
    for done in (avm("read", hostile + "2"), avm("append", hostile, "--content", "")):
        assert b"\x1b" not in done.stderr


def test_one_line_of_a_listing_is_one_name() -> None:
    out("write", "two\nlines\tand a tab", "--content", "x")
    assert out("ls").splitlines() == ["private", "shared", "two\\nlines\\tand a tab"]
    assert json.loads(out("ls", "--json"))[2]["name"] == "two\nlines\tand a tab"


# --- stores and configurations that cannot be used -----------------------------------------------


@pytest.fixture
def store() -> Path:
    out("write", "x", "--content", "1")
    path = in_home(".local/share/avm/avm.db")
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def _foreign(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE theirs (x)")


def _newer(path: Path) -> None:
    execute(path, "PRAGMA user_version = 999")


def _no_database(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def _damaged(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


@pytest.mark.parametrize("spoil", [_foreign, _newer, _no_database, _damaged])
def test_a_store_that_cannot_be_used_is_left_as_it_is(store: Path, spoil: Any) -> None:
    other = in_home("spoilt.db")
    other.write_bytes(store.read_bytes())
    spoil(other)
    for ending in ("-wal", "-shm"):
        Path(f"{other}{ending}").unlink(missing_ok=True)
    before = other.read_bytes()
    assert code("read", "x", "--db", str(other)) == 8
    assert code("write", "x", "--content", "2", "--db", str(other)) == 8
    assert other.read_bytes() == before
    assert code_of_doctor("--db", str(other)) == 1


def code_of_doctor(*arguments: str) -> int:
    done = avm("doctor", *arguments)
    assert b"Traceback" not in done.stderr
    assert b"\nfail  " in done.stdout
    return done.returncode


def test_a_broken_configuration_is_named_line_by_line_and_changes_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "config.yaml"
    broken.write_text("providers:\n  - patern: /live/*\nstorage: 7\n")
    done = avm("write", "x", "--content", "1", "--config", str(broken))
    assert done.returncode == 7
    assert f"{broken}:2: providers[0].patern" in done.stderr.decode()
    assert f"{broken}:3: storage" in done.stderr.decode()
    assert not in_home(".local").exists()
    assert "Every day:" in out("--help", "--config", str(broken))


def test_a_handler_that_nobody_supplies_fails_where_it_is_used_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text('providers:\n  - {pattern: "/live/*", handler: nosuch}\n')
    out("write", "x", "--content", "1", "--config", str(path))
    done = avm("read", "/live/x", "--config", str(path))
    assert done.returncode == 7
    assert b"'nosuch'" in done.stderr


@pytest.mark.skipif(
    os.geteuid() == 0, reason="root may write anything; tests/root has a second user for this"
)
def test_where_nothing_may_be_written_nothing_is_and_it_is_said_what_must_be(tmp_path: Path) -> None:
    store = tmp_path / "data" / "avm.db"
    here = ("--db", str(store))
    out("write", "x", "--content", "known words", *here)
    out("search", "known", *here)
    for each in store.parent.iterdir():
        each.chmod(0o444)
    store.parent.chmod(0o555)
    try:
        before = sorted(store.parent.iterdir())
        assert out("read", "x", *here) == "known words"
        assert "/memory/x" in out("search", "known", *here)
        for refused in (here, ("--db", str(store.parent / "new.db"))):
            done = avm("write", "x", "--content", "2", *refused)
            assert done.returncode == 9
            assert str(store.parent) in done.stderr.decode()
        assert sorted(store.parent.iterdir()) == before
    finally:
        store.parent.chmod(0o755)


# --- weight --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["read", "x"], ["write", "x", "--content", "2"], ["ls", "-l"], ["search", "1"]],
    ids=lambda arguments: str(arguments[0]),
)
def test_no_heavy_module_is_imported_for_everyday_work(arguments: list[str]) -> None:
    out("write", "x", "--content", "1")
    program = (
        "import sys\nfrom avm_builtin.frontends.cli.app import main\n"
        "from vfs_core.plugins import heavy_modules\nmain(sys.argv[1:])\n"
        "light = ('jsonschema', 'rich', 'yaml', 'asyncio', 'sqlite3', 'concurrent', 'http', 'ssl')\n"
        "print(heavy_modules() + [name for name in light if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, check=True, timeout=60
    )
    assert done.stderr.splitlines()[-1] == b"[]"


def test_the_help_imports_no_command() -> None:
    program = (
        "import sys\nfrom avm_builtin.frontends.cli.app import main\nmain(['--help'])\n"
        "print([name for name in sys.modules if '.commands.' in name], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert done.stderr == b"[]\n"
