"""The configuration: what a file says, what is wrong with it, and where it is looked for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avm_schemas import load
from vfs_core import config_document
from vfs_core.config import (
    CacheSettings,
    Config,
    PluginSettings,
    ProviderRule,
    SearchSettings,
    StorageSettings,
    SummariserSettings,
    check_config,
    config_summary,
    default_config_path,
    default_store_path,
    expand,
    find_config,
    load_config,
    resolve,
    template,
)
from vfs_core.config_check import merged_schema
from vfs_core.config_document import parse_document
from vfs_core.config_text import mask
from vfs_core.errors import ConfigError, Invalid, PluginError, Problem
from vfs_core.names import check_agent_name
from vfs_core.plugins import Registry
from vfs_core.specs import HandlerSpec
from vfs_core.types import User

SEED = """\
# config.yaml
providers:
  # HTTP API
  - pattern: "/live/prices/{symbol}"
    handler: http
    config:
      url: "https://api.example.com/prices/${symbol}"
      headers:
        Authorization: "Bearer ${API_KEY}"
    ttl: 60

  # Script
  - pattern: "/system/status"
    handler: script
    config:
      command: "uptime"

  # Plugin
  - pattern: "/live/indicators/*"
    handler: plugin
    config:
      plugin: "my_plugins.talib"

permissions:
  - pattern: "/memory/*"
    access: rw
  - pattern: "/live/*"
    access: ro

default_access: ro
"""

PLUGIN = '''
"""A plugin as a third party would write it."""

from vfs_core.handler import BaseHandler
from vfs_core.hookspecs import hookimpl
from vfs_core.specs import HandlerSpec


class Weather(BaseHandler):
    def read(self, path, context):
        return "fine"


@hookimpl
def avm_register_handlers():
    schema = {
        "type": "object",
        "required": ["city"],
        "additionalProperties": False,
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "maximum": 7},
            "units": {"enum": ["metric", "imperial"]},
            "command": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "password": {"type": "string"},
            "login": {"not": {"required": ["never"]}},
        },
    }
    return [
        HandlerSpec("weather", Weather, config_schema=schema),
        HandlerSpec("broken_schema", Weather, config_schema={"type": 3}),
        HandlerSpec("remote_schema", Weather, config_schema={"$ref": "https://example.invalid/schema"}),
    ]
'''


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of one's own, with nothing in it."""
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "AVM_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """Plugins of which one works and one fails."""
    (tmp_path / "weather_plugin.py").write_text(PLUGIN)
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('no luck')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Registry(load=["weather_plugin", "broken_plugin"])
    for name in ("weather_plugin", "broken_plugin"):
        sys.modules.pop(name, None)


def problems_of(file: Path, text: str | bytes, registry: Registry | None = None) -> list[Problem]:
    data = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
    file.write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        load_config(file, registry)
    return list(raised.value.problems)


def lines_of(problems: list[Problem]) -> list[tuple[int, str]]:
    return [(int(problem.where.rpartition(":")[2]), problem.key) for problem in problems]


# --- what a file says ----------------------------------------------------------------------------


def test_without_a_file_the_defaults_hold():
    assert load_config(None) == Config()
    assert Config().storage == StorageSettings("sqlite", None, "full")
    assert Config().cache == CacheSettings(8192, 32 * 1024 * 1024)
    assert Config().search == SearchSettings("auto", {})
    assert Config().default_access is None
    assert Config().users is None


def test_the_seeds_example_loads_as_written(file: Path):
    file.write_text(SEED)
    config = load_config(file)
    assert config.source == file
    assert [(rule.pattern, rule.handler, rule.ttl, rule.where) for rule in config.providers] == [
        ("/live/prices/{symbol}", "http", 60.0, f"{file}:4"),
        ("/system/status", "script", None, f"{file}:13"),
        ("/live/indicators/*", "plugin", None, f"{file}:19"),
    ]
    assert config.providers[0].config == {
        "url": "https://api.example.com/prices/${symbol}",
        "headers": {"Authorization": "Bearer ${API_KEY}"},
    }
    assert [(rule.pattern, rule.access, rule.where) for rule in config.permissions] == [
        ("/memory/*", "rw", f"{file}:25"),
        ("/live/*", "ro", f"{file}:27"),
    ]
    assert config.default_access == "ro"


def test_every_section(file: Path):
    file.write_text(
        textwrap.dedent("""\
        users:
          akashi: {groups: [research]}
          auditor: {capabilities: [read]}
          nobody: {capabilities: []}
          明石:
        plugins: {load: [a.b], disable: [c], override: [d]}
        storage: {engine: sqlite, path: notes.db, durability: normal}
        search: {backend: fts5, config: {x: 1}}
        cache: {entries: 0, bytes: 1024}
        """)
    )
    config = load_config(file)
    assert config.users == {
        "akashi": User("akashi", ("research",), None),
        "auditor": User("auditor", (), frozenset({"read"})),
        "nobody": User("nobody", (), frozenset()),
        "明石": User("明石"),
    }
    assert config.plugins == PluginSettings(("a.b",), ("c",), ("d",))
    assert config.storage == StorageSettings("sqlite", str(file.parent / "notes.db"), "normal")
    assert config.search == SearchSettings("fts5", {"x": 1})
    assert config.cache == CacheSettings(0, 1024)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "providers:\npermissions:\nplugins:\nstorage:\n"]
)
def test_what_is_empty_means_the_defaults(file: Path, text: str):
    file.write_text(text)
    config = load_config(file)
    assert (config.providers, config.permissions, config.storage) == ((), (), StorageSettings())


def test_an_empty_users_section_is_an_error_because_it_can_mean_everyone_or_nobody(file: Path):
    assert lines_of(problems_of(file, "default_access: ro\nusers:\n")) == [(2, "users")]
    file.write_text("users: {}\n")
    assert load_config(file).users == {}


def test_a_store_in_the_home_directory_or_on_a_server(file: Path, home: Path):
    file.write_text("storage: {path: ~/a.db}\n")
    assert load_config(file).storage.path == str(home / "a.db")
    file.write_text("storage: {path: 'postgresql://db/avm'}\n")
    assert load_config(file).storage.path == "postgresql://db/avm"
    assert lines_of(problems_of(file, "storage: {path: ~no-such-user/a.db}\n")) == [(1, "storage.path")]


def test_merge_keys_and_aliases_work(file: Path):
    file.write_text(
        textwrap.dedent("""\
        providers:
          - &base {pattern: /a, handler: http, ttl: 5}
          - <<: *base
            pattern: /b
          - {pattern: /c, handler: http, config: &c {x: 1}}
          - {pattern: /d, handler: http, config: *c}
        """)
    )
    config = load_config(file)
    assert [(rule.pattern, rule.ttl) for rule in config.providers] == [
        ("/a", 5),
        ("/b", 5),
        ("/c", None),
        ("/d", None),
    ]
    assert config.providers[3].config == {"x": 1}


def test_the_template_loads_and_changes_nothing(file: Path):
    file.write_text(template())
    config = load_config(file)
    assert (config.providers, config.permissions, config.users) == ((), (), None)


def uncommented(block: str) -> str:
    """The settings in a part of the template: prose has one space after the '#', settings none or several."""
    return "".join(line[1:] + "\n" for line in block.splitlines() if re.match(r"#(?:\S|  )", line))


def test_every_example_in_the_template_is_valid_when_it_is_uncommented(file: Path):
    found = set()
    for block in [*template().split("\n\n"), template()]:
        file.write_text(uncommented(block))
        load_config(file)
        assert check_config(file) == []
        found |= set(yaml.safe_load(uncommented(block)) or {})
    assert found == set(load("config")["properties"])


def test_the_template_shows_the_real_defaults(file: Path):
    settings_only = "\n\n".join(
        block
        for block in template().split("\n\n")
        if re.search(r"^#(storage|search|summariser|cache|plugins):", block, re.M)
    )
    file.write_text(uncommented(settings_only))
    config = load_config(file)
    assert (config.plugins, config.search, config.summariser, config.cache) == (
        PluginSettings(),
        SearchSettings(),
        SummariserSettings(),
        CacheSettings(),
    )
    assert config.storage == StorageSettings(path=str(default_store_path()))


# --- what is wrong -------------------------------------------------------------------------------


def test_all_problems_come_at_once_each_with_its_line_and_cure(file: Path):
    problems = problems_of(
        file,
        """\
        providers:
          - pattern: live/{x}
            handler: http
            ttl: -1
          - patern: /a
            handler: 3
            config: []
          - pattern: "/a/{x}/{x}"
            handler: http
        permissions:
          - pattern: /a//b
            access: readwrite
          - pattern: /shared/*
            access: no
        default_acces: ro
        history: {keep: 3}
        users:
          "a b": {capabilities: }
        cache: {entries: many}
        """,
    )
    assert lines_of(problems) == [
        (2, "providers[0].pattern"),
        (4, "providers[0].ttl"),
        (5, "providers[1].patern"),
        (5, "providers[1]"),
        (6, "providers[1].handler"),
        (7, "providers[1].config"),
        (8, "providers[2].pattern"),
        (11, "permissions[0].pattern"),
        (12, "permissions[0].access"),
        (13, "permissions[1].pattern"),
        (14, "permissions[1].access"),
        (15, "default_acces"),
        (16, "history.keep"),
        (18, "users.'a b'.capabilities"),
        (18, "users.'a b'"),
        (19, "cache.entries"),
    ]
    text = "\n".join(map(str, problems))
    assert (
        f"{file}:12: permissions[0].access: expected one of none, ro, rw, got 'readwrite'; write access: rw"
        in text
    )
    assert "did you mean 'pattern'?" in text
    assert "did you mean 'default_access'?" in text
    assert "write access: none (YAML reads a plain `no` or `off` as false)" in text
    assert "write /memory/shared/*" in text
    assert "expected a whole number, got 'many'" in text
    assert "expected a mapping, got a list" in text


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: [1, 2\n", 2, "not valid YAML"),
        ("a: 1\n b: 2\n", 2, "not valid YAML"),
        ("providers:\n\t- x\n", 2, "not valid YAML"),
        ("[1, 2]\n", 1, "expected a mapping, got a list"),
        ("just text\n", 1, "expected a mapping, got 'just text'"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        (b"\xff\xfea\x00", 1, "not UTF-8"),
        ("a: 1\nb: \x07\n", 2, "control character"),
        ("cache: {}\ncache: {}\n", 2, "given twice, on lines 1 and 2"),
        ("cache:\n  bytes: 1\n  bytes: 1\n", 3, "given twice, on lines 2 and 3"),
        ("1: 2\n", 1, "the key 1 is not text"),
        ("? [a]\n: 1\n", 1, "not text"),
        ("---\n{}\n---\n{}\n", 3, "more than one YAML document"),
        ("users: *x\n", 1, "no anchor &x"),
        ("users: &x {a: *x}\n", 1, "inside what it names"),
        ("cache: {bytes: .nan}\n", 1, "not a finite number"),
        ("cache: {bytes: " + "9" * 5000 + "}\n", 1, "not a whole number"),
        ("cache: {bytes: 1" + "0" * 400 + "}\n", 1, "at most"),
        ("providers: [{pattern: /a, handler: x, ttl: 1" + "0" * 400 + "}]\n", 1, "at most"),
        ("cache: !!python/object:os.system {}\n", 1, "the tag"),
        ("cache: !!python/name:os.system x\n", 1, "the tag"),
        ("storage: {path: ''}\n", 1, "empty"),
        ('storage: {path: "~\\0"}\n', 1, "matches"),
        ("[" * 100_000, 1, "nested over 64 deep"),
        ("a: " * 100_000, 1, ""),
        ("- " * 100_000, 1, "nested over 64 deep"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_where(file: Path, text: str | bytes, line: int, what: str):
    problems = problems_of(file, text if isinstance(text, bytes) else text.encode())
    assert any(problem.where == f"{file}:{line}" and what in problem.what for problem in problems), problems


def test_aliases_cannot_grow_without_bound(file: Path):
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 12):
        text += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    problems = problems_of(file, text)
    assert "stand for over 100000 values" in problems[-1].what


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="over 16 MiB"):
        load_config(Path("/dev/zero"))


def test_what_is_not_a_readable_file_is_a_clear_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="is a directory"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "a\0b")
    assert "is a directory" in str(check_config(tmp_path)[0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_read_permission_is_a_clear_error(file: Path):
    file.write_text("")
    file.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load_config(file)


def test_the_parser_in_python_says_the_same(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(yaml, "CSafeLoader")
    file.write_text(SEED)
    assert len(load_config(file).providers) == 3
    assert lines_of(problems_of(file, "cache:\n  bytes: x\n  bytes: 1\n")) == [
        (2, "cache.bytes"),
        (3, "cache.bytes"),
    ]
    assert "nested over 64 deep" in problems_of(file, "[" * 1000)[0].what
    assert "not valid YAML" in problems_of(file, '"\\UFFFFFFFF": 1')[0].what


def test_rules_that_are_never_used_are_reported_by_check_and_harmless(file: Path):
    file.write_text(
        textwrap.dedent("""\
        providers:
          - {pattern: /live/*, handler: http}
          - {pattern: "/live/{x}", handler: http}
        permissions:
          - {pattern: /a, access: ro}
          - {pattern: /a, access: rw}
        """)
    )
    assert len(load_config(file).providers) == 2
    assert lines_of(check_config(file)) == [(3, "providers[1].pattern"), (6, "permissions[1].pattern")]


def test_check_finds_everything_in_order_and_never_raises(file: Path, registry: Registry):
    file.write_text(
        SEED.replace("default_access: ro", "default_access: maybe").replace("handler: ", "handler: no-")
    )
    problems = check_config(file, registry)
    assert lines_of(problems) == [
        (5, "providers[0].handler"),
        (14, "providers[1].handler"),
        (20, "providers[2].handler"),
        (30, "default_access"),
    ]
    assert check_config(None) == []


# --- what plugins supply -------------------------------------------------------------------------


def test_a_missing_handler_is_a_warning_that_names_what_there_is_and_what_failed(
    file: Path, registry: Registry
):
    file.write_text("providers:\n  - pattern: /w\n    handler: wether\n")
    config = load_config(file, registry)
    assert len(config.providers) == 1
    (warning,) = config.warnings
    assert (warning.where, warning.key) == (f"{file}:3", "providers[0].handler")
    assert "did you mean 'weather'?" in warning.cure
    assert "the plugin broken_plugin failed" in warning.cure
    assert "no luck" in warning.cure
    assert check_config(file, registry) == [warning]


def test_a_missing_engine_or_backend_is_a_warning(file: Path, registry: Registry):
    file.write_text("storage: {engine: oracle}\nsearch: {backend: grep}\nsummariser: {name: parrot}\n")
    config = load_config(file, registry)
    assert [problem.key for problem in config.warnings] == [
        "storage.engine",
        "search.backend",
        "summariser.name",
    ]


def test_settings_are_checked_against_the_handlers_schema(file: Path, registry: Registry):
    text = """\
    providers:
      - pattern: /w
        handler: weather
        config:
          days: 9
          units: metrics
          citty: x
          command: {a: 1}
      - pattern: /x
        handler: weather
    """
    problems = problems_of(file, text, registry)
    assert [(line, key) for line, key in lines_of(problems)] == [
        (4, "providers[0].config"),
        (5, "providers[0].config.days"),
        (6, "providers[0].config.units"),
        (7, "providers[0].config.citty"),
        (8, "providers[0].config.command"),
        (9, "providers[1].config"),
    ]
    text = "\n".join(map(str, problems))
    assert "'city' is missing; add city: ..." in text
    assert "expected at most 7, got 9" in text
    assert "did you mean 'city'?" in text
    assert "expected one of metric, imperial, got 'metrics'; write units: metric" in text
    assert "expected text or a list, got a mapping" in text


def test_the_alternative_that_nearly_fits_is_explained(file: Path, registry: Registry):
    text = "providers: [{pattern: /w, handler: weather, config: {city: x, command: [a, 3]}}]"
    problems = problems_of(file, text, registry)
    assert [(problem.key, problem.what) for problem in problems] == [
        ("providers[0].config.command[1]", "expected text, got 3")
    ]


def test_errors_show_no_secrets(file: Path, registry: Registry):
    text = """\
    providers:
      - pattern: /w
        handler: weather
        config: {city: x, password: 271828, login: {never: 1, token: hunter2}}
    """
    text = "\n".join(map(str, problems_of(file, text, registry)))
    assert "providers[0].config.password: expected text" in text
    assert "providers[0].config.login" in text
    assert "271828" not in text
    assert "hunter2" not in text


@pytest.mark.parametrize("handler", ["broken_schema", "remote_schema"])
def test_a_plugins_broken_schema_is_blamed_on_the_plugin(file: Path, registry: Registry, handler: str):
    problems = problems_of(file, f"providers: [{{pattern: /w, handler: {handler}}}]", registry)
    assert f"the schema of the handler {handler!r} is broken" in problems[0].what


def test_problems_of_the_file_and_of_a_handlers_settings_come_together(file: Path, registry: Registry):
    text = "providers:\n  - pattern: w\n    handler: weather\n    config: {days: 1}\n"
    assert lines_of(problems_of(file, text, registry)) == [
        (2, "providers[0].pattern"),
        (4, "providers[0].config"),
    ]


def test_a_configuration_can_be_resolved_after_its_plugins_are_loaded(file: Path, registry: Registry):
    file.write_text(
        "plugins: {load: [weather_plugin]}\n"
        "providers:\n  - {pattern: /w, handler: weather, config: {city: 1}}\n"
    )
    config = load_config(file)
    with pytest.raises(ConfigError) as raised:
        resolve(config, registry)
    assert lines_of(list(raised.value.problems)) == [(3, "providers[0].config.city")]


def test_rules_made_in_python_are_checked_like_those_in_a_file(registry: Registry):
    good = ProviderRule("/w", "weather", {"city": "x"})
    bad = ProviderRule("/x", "weather", {"city": 1})
    assert resolve(Config(providers=(good,)), registry).warnings == ()
    assert resolve(Config(providers=(ProviderRule("/w", "none"),)), registry).warnings[0].where == "python"
    with pytest.raises(ConfigError, match=r"^python: providers\[1\].config.city: expected text, got 1$"):
        resolve(Config(providers=(good, bad)), registry)


def test_rules_put_before_those_of_a_file_leave_their_lines_as_they_are(file: Path, registry: Registry):
    file.write_text("providers:\n  - pattern: /w\n    handler: weather\n    config:\n      city: 1\n")
    config = load_config(file)
    config = replace(config, providers=(ProviderRule("/x", "weather", {"city": "x"}), *config.providers))
    with pytest.raises(ConfigError) as raised:
        resolve(config, registry)
    assert lines_of(list(raised.value.problems)) == [(5, "providers[0].config.city")]


# --- checking once -------------------------------------------------------------------------------


def imports_jsonschema(file: Path) -> bool:
    code = (
        "import sys, pathlib; from vfs_core.config import load_config; "
        f"load_config(pathlib.Path({str(file)!r})); print('jsonschema' in sys.modules)"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def test_jsonschema_is_imported_only_for_what_was_not_valid_before(file: Path, home: Path):
    file.write_text(SEED)
    assert imports_jsonschema(file)
    assert not imports_jsonschema(file)
    file.write_text(SEED + "# changed\n")
    assert imports_jsonschema(file)
    markers = list((home / ".cache/avm/validated").iterdir())
    assert len(markers) == 2
    assert all(marker.stat().st_size == 0 for marker in markers)


def test_a_file_that_is_not_valid_is_never_remembered(file: Path, home: Path):
    for _ in range(2):
        assert problems_of(file, "cache: {bytes: x}\n")
        assert problems_of(file, "cache: {bytes: 1}\ncache: {bytes: 1}\n")
    assert not (home / ".cache").exists()


def test_a_handler_whose_schema_changed_is_checked_again(file: Path, registry: Registry, home: Path):
    file.write_text("providers: [{pattern: /w, handler: weather, config: {city: x}}]\n")
    load_config(file, registry)
    before = len(list((home / ".cache/avm/validated").iterdir()))
    load_config(file, registry)
    assert len(list((home / ".cache/avm/validated").iterdir())) == before
    registry.handlers()["weather"].config_schema["properties"]["city"] = {"enum": ["Kyoto"]}  # type: ignore[index]
    with pytest.raises(ConfigError, match="expected one of Kyoto"):
        load_config(file, registry)


def test_a_cache_that_cannot_be_written_does_not_matter(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    home.mkdir()
    (home / "cache").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    file.write_text(SEED)
    assert len(load_config(file).providers) == 3


# --- finding -------------------------------------------------------------------------------------


def test_the_configuration_is_found_by_option_then_variable_then_xdg(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    assert find_config() is None
    standard = home / ".config/avm/config.yaml"
    assert default_config_path() == standard
    standard.parent.mkdir(parents=True)
    standard.write_text("")
    assert find_config() == standard
    named, given_path = tmp_path / "named.yaml", tmp_path / "given.yaml"
    named.write_text("")
    given_path.write_text("")
    monkeypatch.setenv("AVM_CONFIG", str(named))
    assert find_config() == named
    assert find_config(given_path) == given_path
    monkeypatch.setenv("AVM_CONFIG", "")
    assert find_config() == standard
    (home / "in-home.yaml").write_text("")
    assert find_config("~/in-home.yaml") == home / "in-home.yaml"


def test_a_configuration_that_was_asked_for_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="named by --config"):
        find_config(tmp_path / "no.yaml")
    monkeypatch.setenv("AVM_CONFIG", str(tmp_path / "no.yaml"))
    with pytest.raises(ConfigError, match="named by AVM_CONFIG"):
        find_config()


def test_a_link_to_nowhere_is_not_passed_over_in_silence(home: Path):
    (home / ".config/avm").mkdir(parents=True)
    (home / ".config/avm/config.yaml").symlink_to("nowhere")
    found = find_config()
    with pytest.raises(ConfigError, match="No such file"):
        load_config(found)


@pytest.mark.parametrize("value", ["", "relative/dir"])
def test_empty_and_relative_xdg_variables_are_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch, value: str
):
    monkeypatch.setenv("XDG_CONFIG_HOME", value)
    monkeypatch.setenv("XDG_DATA_HOME", value)
    assert default_config_path() == home / ".config/avm/config.yaml"
    assert default_store_path() == home / ".local/share/avm/avm.db"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/x")
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/x")
    assert default_config_path() == Path("/etc/x/avm/config.yaml")
    assert default_store_path() == Path("/srv/x/avm/avm.db")


def test_without_a_home_directory_there_is_no_configuration_and_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
):
    for home in ("", "not/absolute"):
        monkeypatch.setenv("HOME", home)
        assert find_config() is None
        with pytest.raises(ConfigError, match="set HOME or XDG_DATA_HOME"):
            default_store_path()


# --- variables -----------------------------------------------------------------------------------


def test_variables_are_expanded_everywhere_in_a_value():
    value = {
        "url": "https://x/${symbol}?k=${KEY}",
        "list": ["${KEY}", 3, None, True],
        "in": {"a": "$KEY ${KEY}s"},
    }
    assert expand(value, {"symbol": "NVDA"}, {"KEY": "k"}) == {
        "url": "https://x/NVDA?k=k",
        "list": ["k", 3, None, True],
        "in": {"a": "$KEY ks"},
    }


def test_parameters_win_and_nothing_that_was_put_in_is_expanded_again():
    environ = {"HOME": "/home/x", "A": "${HOME}", "name": "from the environment"}
    assert expand("${name} ${A}", {"name": "${HOME}"}, environ) == "${HOME} ${HOME}"


def test_a_doubled_dollar_is_the_text_itself():
    assert expand("$${HOME} $$ $${a b}", {}, {"HOME": "x"}) == "${HOME} $$ ${a b}"


def test_missing_variables_are_named_all_at_once_with_their_place():
    with pytest.raises(ConfigError) as raised:
        expand({"a": "${X}", "b": ["${Y}", "${Z:-z}"]}, {}, {}, where="c.yaml:4", key="providers[0].config")
    assert [(problem.where, problem.key) for problem in raised.value.problems] == [
        ("c.yaml:4", "providers[0].config.a"),
        ("c.yaml:4", "providers[0].config.b[0]"),
        ("c.yaml:4", "providers[0].config.b[1]"),
    ]
    assert "the variable X is not set" in str(raised.value)
    assert "write $${Z:-z}" in str(raised.value)


@given(st.dictionaries(st.sampled_from("abc"), st.text()), st.text(alphabet="${}abc "))
def test_expanding_never_fails_otherwise_and_text_without_variables_is_kept(
    parameters: dict[str, str], text: str
):
    try:
        expanded = expand(text, parameters, {})
    except ConfigError:
        assert "${" in text
    else:
        assert "${" in text or expanded == text


# --- showing -------------------------------------------------------------------------------------


def test_the_summary_is_json_and_hides_secrets(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_KEY", "from-the-environment")
    file.write_text(
        SEED.replace(
            'command: "uptime"', "{api-key: s1, API_KEY: [s2], nested: [{Token: {x: s3}}], Password: s4}"
        )
        + "storage: {path: 'postgresql://me:s5@db/avm?apikey=s6&x=kept'}\nusers: {a: {capabilities: []}}\n"
    )
    summary = config_summary(load_config(file))
    text = json.dumps(summary)
    assert not re.search(r"\bs[1-6]\b", text)
    assert "from-the-environment" not in text
    assert "Bearer" not in text
    assert summary["providers"][0]["config"]["headers"] == {"Authorization": "***"}
    assert summary["providers"][0]["config"]["url"].endswith("/${symbol}")
    assert summary["storage"]["path"] == "postgresql://***@db/avm?apikey=***&x=kept"
    assert summary["users"] == {"a": {"groups": [], "capabilities": []}}


def test_the_summary_has_every_setting():
    summary = config_summary(Config())
    assert set(load("config")["properties"]) <= set(summary)
    json.dumps(summary)


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "akashi", "明石", "Ünal", "agent-7", "a.b_c", "a" * 64, "7", "a@b"])
def test_names_that_agents_may_have(name: str):
    assert check_agent_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "😀" * 64,
        ".",
        "..",
        ".a",
        "-a",
        "@all",
        "a b",
        "a\tb",
        "a\n",
        "a\0",
        "\u202ea",
        "a\u200bb",
        "\ud800",
    ]
    + [f"a{character}b" for character in "/:?*{},\"'\\"],
)
def test_names_that_agents_may_not_have(name: str):
    with pytest.raises(Invalid, match=r"cannot be an agent's name: .*(give|use|start)"):
        check_agent_name(name)


@given(st.text())
def test_a_name_that_is_accepted_is_one_component_of_a_path(name: str):
    try:
        check_agent_name(name)
    except Invalid:
        return
    assert "/" not in name
    assert name not in ("", ".", "..")
    assert len(name.encode()) <= 255


# --- anything at all -----------------------------------------------------------------------------


def only_config_error_escapes(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        config = load_config(file)
    except ConfigError as error:
        assert error.problems
        assert str(error)
        assert list(error.problems) == [each for each in check_config(file) if each in error.problems]
    else:
        json.dumps(config_summary(config))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "c.yaml"


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
@example(data=b"\xff")
@example(data=b"&a [*a]")
@example(data=b"!<!> x")
def test_random_bytes_are_loaded_or_refused(fuzzed: Path, data: bytes):
    only_config_error_escapes(fuzzed, data)


@settings(max_examples=500, deadline=None)
@given(text=st.text(alphabet="ab:-[]{}&*!|>'\"%@`#?,.~<0x_1\\ \n\t$\u2028é", max_size=80))
def test_random_yaml_like_text_is_loaded_or_refused(fuzzed: Path, text: str):
    only_config_error_escapes(fuzzed, text.encode())


KEYS = [
    *load("config")["properties"],
    "pattern",
    "handler",
    "config",
    "access",
    "ttl",
    "groups",
    "capabilities",
    "load",
]
KEYS += ["engine", "path", "durability", "backend", "entries", "bytes", "<<", "unknown"]
LEAVES = [
    "ro",
    "rw",
    "/a/*",
    "/{x}",
    "a",
    "~",
    "~\0",
    "sqlite",
    "",
    "-1",
    10**400,
    -1,
    0,
    1.5,
    60,
    True,
    None,
]
documents = st.recursive(
    st.sampled_from(LEAVES) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(document=st.dictionaries(st.sampled_from(KEYS), documents, max_size=6))
def test_random_documents_are_loaded_or_refused(fuzzed: Path, document: object):
    only_config_error_escapes(fuzzed, yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(json_values)
def test_values_are_what_yaml_says(value: object):
    data = yaml.safe_dump(value).encode()
    document = parse_document(data, "c.yaml")
    assert document.value == yaml.safe_load(data)
    assert document.problems == ()


def test_lines_are_those_of_the_keys(file: Path):
    document = parse_document(b"a:\n  - b: 1\n    c:\n      - 2\n      - 3\n", "c")
    assert document.where(["a"]) == "c:1"
    assert document.where(["a", 0, "c"]) == "c:3"
    assert document.where(["a", 0, "c", 1]) == "c:5"
    assert document.where(["a", 0, "nothing", 1]) == "c:2"
    assert config_document.dotted(["a", 0, "b c", "d-e"]) == "a[0].'b c'.d-e"


def test_a_schema_that_cannot_be_read_says_which():
    spec = HandlerSpec("x", "a.b:C", config_schema="avm_schemas:handlers/nothing.json")
    with pytest.raises(PluginError, match=r"the schema of 'x', avm_schemas:handlers/nothing.json, cannot"):
        spec.schema()
    assert HandlerSpec("y", "a.b:C").schema() is None


def test_the_schema_for_editors_has_what_each_installed_plugin_takes():
    from avm_schemas import load

    schema = merged_schema(load("config"), Registry())
    jsonschema.Draft202012Validator.check_schema(schema)

    def wrong(document: object) -> bool:
        return not jsonschema.Draft202012Validator(schema).is_valid(document)

    def memory(config: object) -> object:
        return {"providers": [{"pattern": "/x/**", "handler": "memory", "config": config}]}

    assert not wrong(memory({"root": "/memory/shared"}))
    assert wrong(memory({"rot": "/memory/shared"}))
    assert not wrong({"providers": [{"pattern": "/x", "handler": "a-third-party-s", "config": {"rot": 1}}]})
    assert not wrong({"vectors": {"backend": "faiss", "config": {"index": "flat"}}})
    assert wrong({"vectors": {"backend": "faiss", "config": {"index": "round"}}})


def test_what_is_sent_along_is_not_shown_whatever_it_is_called():
    config = {
        "url": "https://x.example.com/a?sig=lit1&page=2",
        "headers": {
            "Cookie": "a=lit4",
            "X-Sig": "lit9",
            "Authorization": "${API_KEY}",
            "Accept": "text/plain",
        },
        "query": {"key": "lit5", "sig": "lit6", "user": "${USER_ID}"},
        "write": {"headers": {"X": "lit7"}},
        "env": {"PGPASS": "lit8"},
        "nested": {"pwd": "lit2", "credentials": ["lit3"]},
        "page": "shown",
    }
    shown = json.dumps(mask(config))
    assert "lit2" not in shown and "lit3" not in shown
    for number in range(4, 10):
        assert f"lit{number}" not in shown
    assert "${USER_ID}" in shown and "shown" in shown
