"""The `script` handler runs one program with exactly the arguments that the configuration says, under limits."""

import gc
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import avm_schemas
from avm_handlers.script import ScriptHandler, last_lines
from vfs_core.config_text import Template
from vfs_core.errors import (
    ConfigError,
    Denied,
    Invalid,
    NotFound,
    PluginError,
    ReadOnly,
    TimedOut,
    TooLarge,
    VfsError,
)
from vfs_core.handler import BaseHandler, Capabilities, Context
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing import HandlerTests
from vfs_core.testing.handlers import PRINCIPAL, attempt
from vfs_core.types import Kind, Stat

PYTHON = sys.executable
SHOW = [PYTHON, "-c", "import sys; sys.stdout.write(repr(sys.argv[1:]))"]
"""Prints its arguments."""
LONG = 600
"""Seconds that a test never waits for."""


def asked(deadline: float | None = None, **parameters: str) -> Context:
    return Context(PRINCIPAL, cast("Session", None), parameters, deadline=deadline)


def read(config: dict[str, object], **parameters: str) -> bytes | None:
    return ScriptHandler(config).read("/x", asked(**parameters))


def shell(text: str, *arguments: str, **config: object) -> dict[str, object]:
    """The configuration that runs a text by a shell of its own."""
    return {"command": ["sh", "-c", text, "sh", *arguments], **config}


def python(text: str, *arguments: str, **config: object) -> dict[str, object]:
    return {"command": [PYTHON, "-c", text, *arguments], **config}


def is_alive(pid: int) -> bool:
    """Whether a process runs still; a zombie does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


class ScriptConformance(HandlerTests):
    """What the suite asks of a stat is not promised here: a script's path has no size until it is run."""

    def test_a_stat_agrees_with_reading(self, handler, offers, present, absent, make_context) -> None:
        for path in (present[0], absent):
            stat = handler.stat(path, make_context(path))
            assert isinstance(stat, Stat)
            assert (stat.kind, stat.size) == (Kind.FILE, 0)

    def test_a_stat_follows_a_write(self, handler, offers, absent, make_context) -> None:
        assert handler.stat(absent, make_context(absent)) == handler.stat(absent, make_context(absent))

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        return "/here.md", b"teddy\0\xff"

    @pytest.fixture
    def absent(self) -> str:
        return "/absent.md"

    @pytest.fixture
    def make_context(self) -> Callable[[str], Context]:
        return lambda path: asked(name=path.rpartition("/")[2])


class TestScriptHandler(ScriptConformance):
    @pytest.fixture
    def handler(self, tmp_path: Path) -> BaseHandler:
        (tmp_path / "here.md").write_bytes(b"teddy\0\xff")
        return ScriptHandler(
            shell(
                'test -f "$1" || exit 3; cat -- "$1"',
                Template("${name}"),
                cwd=str(tmp_path),
                not_found_status=[3],
            )
        )

    @pytest.fixture
    def offers(self) -> Capabilities:
        """This one has no `write`."""
        return Capabilities(stat=True)


class TestWritableScriptHandler(ScriptConformance):
    @pytest.fixture
    def handler(self, tmp_path: Path) -> BaseHandler:
        (tmp_path / "here.md").write_bytes(b"teddy\0\xff")
        name = Template("${name}")
        write = ["sh", "-c", 'cat > ".$$.new" && mv -- ".$$.new" "$1"', "sh", name]
        return ScriptHandler(
            shell(
                'test -f "$1" || exit 3; cat -- "$1"',
                name,
                cwd=str(tmp_path),
                not_found_status=[3],
                write=write,
                options=True,
            )
        )

    @pytest.fixture
    def offers(self, handler: BaseHandler) -> Capabilities:
        return Capabilities(write=True, stat=True)


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("'a b' \"c d\" e\\ f", ["a b", "c d", "e f"]),
        ("'' a", ["", "a"]),
        (
            "; | & > /tmp/x $(id) `id` $HOME * ~ {a,b} # c",
            [*[";", "|", "&", ">", "/tmp/x", "$(id)", "`id`", "$HOME", "*", "~", "{a,b}", "#", "c"]],
        ),
        ("局势 \t\n x", ["局势", "x"]),
    ],
)
def test_a_text_is_split_as_a_shell_would_and_otherwise_left_alone(text: str, arguments: list[str]):
    assert read({"command": f"{shlex.join(SHOW)} {text}"}) == repr(arguments).encode()


HOSTILE = [
    *(
        "it's",
        '"',
        "a;id",
        "a|id",
        "a&&id",
        "$(id)",
        "`id`",
        "$HOME",
        "${HOME}",
        "a\nid",
        "a\rb",
        "\t",
        " ",
        "*",
        "~",
        "\\",
    ),
    *(
        "a b",
        "' '",
        "#",
        "!",
        "<in",
        ">out",
        "%s%n",
        "{a,b}",
        "$$",
        "a\x1b[2J",
        "\x7f",
        "局势",
        "$${x}",
        "${x}",
        "é" * 100,
    ),
    "'; rm -rf / #",
    "x" * 255,
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("as_text", [False, True])
def test_a_parameter_is_one_argument_whatever_it_contains(value: str, as_text: bool):
    if as_text:
        command: object = Template(f"{shlex.join(SHOW)} ${{v}} '${{v}}' \"a ${{v}}\" -o${{v}} z")
    else:
        command = [*SHOW, Template("${v}"), Template("${v}"), Template("a ${v}"), Template("-o${v}"), "z"]
    assert (
        read({"command": command}, v=value) == repr([value, value, f"a {value}", f"-o{value}", "z"]).encode()
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)


@given(value=TEXT)
@settings(max_examples=60, deadline=None)
def test_any_text_arrives_as_it_is(value: str):
    handler = ScriptHandler({"command": ["printf", "%s", Template("=${v}")]})
    assert handler.read("/x", asked(v=value)) == b"=" + value.encode()


@pytest.mark.parametrize("value", ["-", "-rf", "--help", "--output=/etc/passwd", "-\n"])
def test_a_parameter_does_not_become_an_option(value: str):
    for argument in ("${v}", "${v}.md", "${v}${v}"):
        config: dict[str, object] = {"command": [*SHOW, Template(argument)]}
        with pytest.raises(Invalid, match=r"^/x: .* would become an option of .* options: true$"):
            read(config, v=value)
        filled = argument.replace("${v}", value)
        assert read({**config, "options": True}, v=value) == repr([filled]).encode()
    for argument in ("./${v}", "--name=${v}", "-n${v}"):
        filled = argument.replace("${v}", value)
        assert read({"command": [*SHOW, Template(argument)]}, v=value) == repr([filled]).encode()


def test_a_nul_is_refused():
    with pytest.raises(Invalid, match="contains no NUL"):
        read({"command": [*SHOW, Template("${v}")]}, v="a\0b")
    with pytest.raises(Invalid, match="contains no NUL"):
        read({"command": SHOW, "env": {"X": Template("${v}")}}, v="a\0b")
    with pytest.raises(Invalid, match="contains no NUL"):
        ScriptHandler({"command": ["echo", "a\0b"]})


def test_what_is_not_utf8_is_refused():
    with pytest.raises(Invalid, match="valid UTF-8"):
        read({"command": [*SHOW, Template("${v}")]}, v="a\ud800")


@pytest.mark.parametrize("size", [1 << 20, 8 << 20])
def test_an_argument_that_is_too_large_is_refused_clearly(size: int):
    with pytest.raises(TooLarge, match=r"^/x: the arguments of .* are more than the system takes$"):
        read({"command": [*SHOW, *[Template("${v}")] * 4]}, v="x" * size)


def test_the_environment_is_put_in_once_and_a_dollar_can_be_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORD", "${v}")
    command = Template(f"{shlex.join(SHOW)} ${{WORD}}-${{v}} $${{v}} $v")
    assert read({"command": command}, v="x y") == repr(["${v}-x y", "${v}", "$v"]).encode()
    with pytest.raises(ConfigError, match="NO_SUCH_VARIABLE"):
        read({"command": Template("echo ${NO_SUCH_VARIABLE} ${v}")}, v="x")


@pytest.mark.parametrize(
    "command",
    [
        Template('sh -c "echo ${v}"'),
        ["bash", "-c", Template("echo '${v}'")],
        ["/bin/sh", "-ec", Template("${v}")],
        ["env", "-i", "dash", "-x", "-c", Template("echo ${v}")],
    ],
)
def test_a_parameter_in_the_text_of_a_shell_is_refused(command: object):
    with pytest.raises(
        Invalid, match=r"would run what a parameter contains in the text after .*write \"\$1\" there"
    ):
        ScriptHandler({"command": command})


def test_a_parameter_beside_the_text_of_a_shell_is_data(tmp_path: Path):
    config = shell('printf "<%s>" "$1"', Template("${v}"), cwd=str(tmp_path))
    for value in HOSTILE:
        assert read(config, v=value) == f"<{value}>".encode()
    assert list(tmp_path.iterdir()) == []


# --- what it runs in -----------------------------------------------------------------------------


def test_only_what_is_said_is_inherited(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_KEY", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    text = "import os, json; print(json.dumps(dict(os.environ)))"
    config = python(text, env={"CITY": "Kyoto", "WHO": Template("<${who}>")})
    shown = cast("dict[str, str]", yaml.safe_load(read(config, who="kuro") or b""))
    shown.pop("LC_CTYPE", None)  # set by Python itself
    assert shown == {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "LANG": "C.UTF-8",
        "CITY": "Kyoto",
        "WHO": "<kuro>",
    }
    monkeypatch.delenv("PATH")
    monkeypatch.delenv("HOME")
    assert read(shell('echo "$HOME"; command -v ls')) is not None


def test_it_runs_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "import os; print(os.getcwd(), end='')"
    assert read(python(text)) == b"/"
    assert read(python(text, cwd=str(tmp_path))) == os.fsencode(tmp_path.resolve())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(python(text, cwd="~")) == os.fsencode(tmp_path.resolve())
    with pytest.raises(PluginError, match=r"config\.cwd .* is not a directory; make it"):
        read(python(text, cwd=str(tmp_path / "no")))


def test_stdin_is_empty_and_no_terminal_can_be_asked():
    text = "import os, sys\nprint(sys.stdin.read() == '', os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())"
    assert read(python(text)) == b"True True True\n"
    with pytest.raises(VfsError):
        read(python("open('/dev/tty')"))


def test_no_descriptor_leaks_into_it(tmp_path: Path):
    if not Path("/dev/fd").exists():
        pytest.skip("needs /dev/fd")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        shown = read(python("import os; print(sorted(map(int, os.listdir('/dev/fd')))[:-1])"))
    assert shown == b"[0, 1, 2]\n"


def test_a_program_is_found_beside_its_directory(tmp_path: Path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho found\n")
    with pytest.raises(
        PluginError, match=r"the program '.*/tool' of config\.command cannot be executed; chmod \+x it"
    ):
        read({"command": "./tool", "cwd": str(tmp_path)})
    tool.chmod(0o755)
    assert read({"command": "./tool", "cwd": str(tmp_path)}) == b"found\n"
    assert read({"command": "tool", "env": {"PATH": f"{tmp_path}:{os.environ['PATH']}"}}) == b"found\n"
    tool.write_text("echo no interpreter\n")
    with pytest.raises(PluginError, match="let it begin with #!"):
        read({"command": str(tool)})
    tool.write_text("#!/no/such/interpreter\n")
    with pytest.raises(PluginError, match="cannot be started: No such file"):
        read({"command": str(tool)})


def test_a_program_that_is_not_there_says_what_to_do():
    with pytest.raises(
        PluginError, match=r"'no-such-program' of config\.command is not installed .*install it, or write"
    ):
        read({"command": "no-such-program -x"})
    with pytest.raises(PluginError, match=r"the program '/no/such' of config\.command is not there"):
        read({"command": "/no/such"})
    with pytest.raises(PluginError, match=r"of config\.write is not installed"):
        ScriptHandler({"command": "true", "write": "no-such-program"}).write("/x", b"", asked())


# --- how it ends ---------------------------------------------------------------------------------


def test_what_it_prints_is_the_content_bytes_and_all():
    everything = bytes(range(256)) * 2000
    text = f"import sys; sys.stdout.buffer.write(bytes(range(256)) * {len(everything) // 256})"
    assert read(python(text)) == everything
    assert read({"command": "true"}) == b""
    assert read(shell("echo out; echo err >&2")) == b"out\n"


def test_a_status_is_an_error_with_the_last_of_what_it_said():
    with pytest.raises(VfsError, match=r"^/x: 'sh' ended with status 7: one\ntwo$"):
        read(shell("echo out; echo one >&2; echo two >&2; exit 7"))
    with pytest.raises(VfsError, match=r"^/x: 'false' ended with status 1; it said nothing$"):
        read({"command": "false"})
    with pytest.raises(VfsError, match=r"^/x: 'sh' was ended by SIGTERM; it said nothing$"):
        read(shell("kill -TERM $$"))
    lines = "\n".join(f"line {number}" for number in range(95, 100))
    with pytest.raises(VfsError, match=f"status 1: {lines}$"):
        read(python("import sys\nfor n in range(100): print('line', n, file=sys.stderr)\nsys.exit(1)"))


def test_what_it_said_cannot_steer_a_terminal():
    said = last_lines(
        b"\x1b[31mred\x1b[0m\a\x00 \xff\xe2\x80\xae \x08\r\n\xe5\xb1\x80\xe5\x8a\xbf\x9b\x7f\n\n"
    )
    assert said == "\\x1b[31mred\\x1b[0m\\x07\\x00 \\xff\\u202e \\x08\n局势\\x9b\\x7f"
    assert all(each.isprintable() or each == "\n" for each in said)
    assert len(last_lines(b"x" * 100_000)) == 1000


def test_a_status_can_mean_not_found():
    config = shell('test "$1" = here || exit 4; echo yes', Template("${v}"), not_found_status=[4, 5])
    handler = ScriptHandler({**config, "write": ["sh", "-c", "exit 5"]})
    assert handler.read("/x", asked(v="here")) == b"yes\n"
    assert handler.read("/x", asked(v="no")) is None
    with pytest.raises(NotFound, match=r"^/x: not found$"):
        handler.write("/x", b"", asked(v="no"))


@pytest.mark.parametrize("quiet", [True, False])
def test_one_that_takes_too_long_is_stopped_with_all_its_children(tmp_path: Path, quiet: bool):
    note = tmp_path / "pids"
    close = "exec >/dev/null 2>&1;" if quiet else ""
    text = f'{close} sleep {LONG} & echo $! $$ > "$1.new"; mv "$1.new" "$1"; trap "" TERM; sleep {LONG}; sleep {LONG}'
    handler = ScriptHandler(shell(text, str(note), timeout=LONG))
    for _ in range(200):  # until the time was enough for it to begin
        with pytest.raises(TimedOut, match=r"^/x: 'sh' was not done after .* its config\.timeout is 600 s$"):
            handler.read("/x", asked(deadline=time.monotonic() + 0.5))
        if note.exists():
            break
    wait_until(lambda: not any(is_alive(int(pid)) for pid in note.read_text().split()))


def test_the_configured_time_is_kept_without_a_deadline():
    with pytest.raises(TimedOut, match=r"after 0\.2 s"):
        read({"command": ["sleep", str(LONG)], "timeout": 0.2})


def test_one_that_prints_too_much_is_stopped():
    assert read({"command": ["printf", "12345"], "max_bytes": 5}) == b"12345"
    with pytest.raises(TooLarge, match=r"^/x: 'printf' printed over 5 bytes \(config\.max_bytes\)"):
        read({"command": ["printf", "123456"], "max_bytes": 5})
    with pytest.raises(TooLarge, match="1,000,000 bytes"):
        read({"command": "yes", "max_bytes": 1_000_000, "timeout": LONG})


def test_much_on_stderr_is_no_trouble():
    text = "import sys; sys.stderr.write('e' * 3_000_000); print('done', end='')"
    assert read(python(text)) == b"done"


def test_a_child_that_stays_behind_is_not_waited_for_and_ended(tmp_path: Path):
    note = tmp_path / "pid"
    config = shell('sleep 600 & echo $! > "$1"; echo done', str(note), timeout=LONG)
    assert read(config) == b"done\n"
    wait_until(lambda: not is_alive(int(note.read_text())))


def test_no_zombie_and_no_descriptor_is_left():
    if not Path("/dev/fd").exists():
        pytest.skip("needs /dev/fd")

    def count() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as "subprocess 17 is still running"
        for config in (
            {"command": "true"},
            {"command": "false"},
            {"command": "no-such-program"},
            {"command": [*SHOW, "x" * (1 << 20)]},
            {"command": "yes", "max_bytes": 10},
            {"command": ["sleep", str(LONG)], "timeout": 0.05},
            shell("exec >&- 2>&-; sleep 0.05"),
        ):
            attempt(lambda config=config: read(config))
        attempt(
            lambda: ScriptHandler({"command": "true", "write": "true"}).write("/x", b"x" * 1_000_000, asked())
        )
        gc.collect()
    assert count() == before
    listed = subprocess.run(
        ["ps", "-A", "-o", "ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    ours = [state for parent, state in map(str.split, listed.splitlines()) if int(parent) == os.getpid()]
    assert not [state for state in ours if state.startswith("Z")]


def test_threads_run_it_side_by_side():
    handler = ScriptHandler({"command": ["printf", "%s", Template("${v}")]})
    wrong: list[object] = []

    def work(name: int) -> None:
        for number in range(15):
            value = f"{name}:{number}"
            if handler.read("/x", asked(v=value)) != value.encode():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- writing -------------------------------------------------------------------------------------


def test_what_is_written_goes_to_stdin(tmp_path: Path):
    data = bytes(range(256)) * 4000
    handler = ScriptHandler(
        {"command": ["cat", Template("${v}")], "write": ["tee", Template("${v}")], "cwd": str(tmp_path)}
    )
    handler.write("/x", data, asked(v="a"))
    assert (tmp_path / "a").read_bytes() == data
    assert handler.read("/x", asked(v="a")) == data
    handler.write("/x", b"", asked(v="a"))
    assert handler.read("/x", asked(v="a")) == b""
    assert handler.stat("/x", asked(v="a")).mode == 0o644


def test_what_a_write_prints_counts_for_nothing(tmp_path: Path):
    data = b"x" * 100_000
    handler = ScriptHandler({"command": "true", "write": "tee a", "cwd": str(tmp_path), "max_bytes": 10})
    handler.write("/x", data, asked())
    assert (tmp_path / "a").read_bytes() == data


def test_data_that_nobody_reads_is_no_error_but_a_status_is():
    ScriptHandler({"command": "true", "write": "true"}).write("/x", b"x" * 1_000_000, asked())
    ScriptHandler({"command": "true", "write": shell("exec <&-; sleep 0.1")["command"]}).write(
        "/x", b"x" * 1_000_000, asked()
    )
    with pytest.raises(VfsError, match=r"^/x: 'sh' ended with status 2: full$"):
        ScriptHandler({"command": "true", "write": shell("echo full >&2; exit 2")["command"]}).write(
            "/x", b"x", asked()
        )
    with pytest.raises(TimedOut):
        ScriptHandler({"command": "true", "write": ["sleep", str(LONG)], "timeout": 0.1}).write(
            "/x", b"x" * 1_000_000, asked()
        )


def test_without_a_command_to_write_it_is_read_only():
    with pytest.raises(ReadOnly, match="no command under 'write'"):
        ScriptHandler({"command": "true"}).write("/x", b"", asked())


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, "is a command, such as uptime"),
        ({"command": 7}, "is a command, such as uptime"),
        ({"command": ["a", 7]}, "is a command, such as uptime"),
        ({"command": ""}, "names no program"),
        ({"command": "  "}, "names no program"),
        ({"command": []}, "names no program"),
        ({"command": ["", "x"]}, "names no program"),
        ({"command": "echo 'a"}, "cannot be split: No closing quotation; close the quote, or write a list"),
        ({"command": Template("${v} x")}, "the program is fixed and names no parameters"),
        ({"command": "true", "write": [Template("bin/${v}")]}, r"config\.write: the program is fixed"),
        ({"command": "true", "cwd": "here"}, "starts with '/' or '~', unlike 'here'"),
        ({"command": "true", "cwd": Template("/srv/${v}")}, "one directory and names no parameters"),
        ({"command": "true", "env": ["A=b"]}, r"config\.env"),
        ({"command": "true", "env": {"A": 1}}, r"config\.env"),
        ({"command": "true", "env": {"A=B": "x"}}, r"config\.env"),
        ({"command": "true", "timeout": 0}, "are over 0"),
        ({"command": "true", "timeout": "1"}, "a number of seconds over 0, not '1'"),
        ({"command": "true", "timeout": float("nan")}, "are over 0"),
        ({"command": "true", "max_bytes": -1}, "are over 0"),
        ({"command": "true", "max_bytes": 1.5}, "a number of bytes over 0, not 1.5"),
        ({"command": "true", "not_found_status": 3}, "a list of exit statuses, not 3"),
        ({"command": "true", "not_found_status": [0]}, "numbers from 1 to 255"),
        ({"command": "true", "options": 1}, "true or false, not 1"),
    ],
)
def test_a_setting_that_is_wrong_is_refused(config: dict[str, object], error: str):
    with pytest.raises(Invalid, match=error):
        ScriptHandler(config)


# --- through the kernel --------------------------------------------------------------------------

Open = Callable[[str], Session]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    kernels: list[Kernel] = []

    def open_kernel(text: str) -> Session:
        file = tmp_path / "config.yaml"
        file.write_text(text)
        kernels.append(Kernel(file, tmp_path / "avm.db"))
        return kernels[-1].session("akashi")

    yield open_kernel
    for kernel in kernels:
        kernel.close()


def test_the_status_of_the_system(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The README's own example; with a stand-in where there is no `uptime`."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "uptime"
    tool.write_text("#!/bin/sh\necho up 3 days\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tmp_path / 'bin'}")
    session = opened(
        'providers:\n  - pattern: "/system/status"\n    handler: script\n    config:\n      command: "uptime"\n'
    )
    assert "up" in session.read("/system/status").text
    assert [entry.name for entry in session.list("/system")] == ["status"]
    with pytest.raises(Denied):
        session.write("/system/status", "x")


def test_neither_listing_nor_examining_runs_anything(opened: Open, tmp_path: Path):
    ran = tmp_path / "ran"
    session = opened(
        f"""\
providers:
  - {{pattern: "/run/{{v}}/now", handler: script, config: {{command: ["touch", "{ran}"], write: ["touch", "{ran}"]}}}}
  - {{pattern: "/once", handler: script, config: {{command: ["touch", "{ran}"]}}}}
permissions: [{{pattern: "/**", access: rw}}]
"""
    )
    assert [entry.name for entry in session.list("/")] == ["memory", "once", "run"]
    assert session.list("/run") == []
    assert list(session.walk("/"))
    assert session.stat("/run/a/now").kind is Kind.FILE
    assert session.exists("/once")
    assert not ran.exists()
    assert session.read("/run/a/now").data == b""
    assert ran.exists()


@pytest.mark.parametrize("value", [each for each in HOSTILE if "/" not in each])
def test_a_parameter_of_a_path_arrives_as_one_argument(opened: Open, value: str):
    session = opened(
        """\
providers:
  - pattern: "/say/{word}"
    handler: script
    config: {command: "printf '<%s>' ${word}"}
"""
    )
    assert session.read(f"/say/{value}").data == f"<{value}>".encode()
    with pytest.raises(Invalid, match="would become an option"):
        session.read("/say/-rf")


def test_the_schema_and_the_handler_agree(opened: Open):
    with pytest.raises(ConfigError) as caught:
        opened(
            """\
providers:
  - pattern: "/a"
    handler: script
    config: {command: [], timeout: 0, max_bytes: 0, env: {A: 1}, not_found_status: [0], options: maybe, shell: true}
"""
        )
    keys = {problem.key.partition(".config")[2] for problem in caught.value.problems}
    assert keys >= {
        ".command",
        ".timeout",
        ".max_bytes",
        ".env.A",
        ".not_found_status[0]",
        ".options",
        ".shell",
    }
    session = opened(
        """\
providers:
  - pattern: "/a/{v}"
    handler: script
    config:
      {command: [cat], write: tee x, cwd: "~", timeout: 1.5, max_bytes: 5, env: {A: "${v}"}, not_found_status: [3],
       options: true}
"""
    )
    assert session.read("/a/x").data == b""


def test_the_documentation_is_right(tmp_path: Path):
    """Its example is a configuration, and it names every setting with its default."""
    text = (Path(__file__).parents[3] / "docs" / "handlers" / "script.md").read_text()
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)))
    with Kernel(file, tmp_path / "avm.db") as kernel:
        assert [rule.handler for rule in kernel.config.providers] == ["script", "script"]
    schema = json.loads((Path(avm_schemas.__file__).parent / "handlers" / "script.schema.json").read_text())
    settings = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\|", text, re.MULTILINE))
    assert set(settings) == set(schema["properties"])
    for name, described in schema["properties"].items():
        if "default" in described:
            default = described["default"]
            assert settings[name] == f"`{default if isinstance(default, str) else json.dumps(default)}`", name
