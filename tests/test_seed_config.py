"""The example of a configuration that the seed gives, against a local HTTP server, `uptime` and a module."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from avm import AVM
from avm.errors import Denied

CONFIG = """\
# config.yaml
providers:
  # HTTP API
  - pattern: "/live/prices/{{symbol}}"
    handler: http
    config:
      url: "http://127.0.0.1:{port}/prices/${{symbol}}"
      headers:
        Authorization: "Bearer ${{API_KEY}}"
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

TALIB = '''
"""Indicators, made up."""


def read(path, context):
    return f"RSI of {path.rpartition('/')[2]}: 72"
'''


class Prices(BaseHTTPRequestHandler):
    """Knows some prices, for who has the key."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        Prices.asked.append(self.path)
        known = {"/prices/NVDA": b"181.2\n", "/prices/%E8%8C%85%E5%8F%B0": b"1500\n"}
        authorized = self.headers["Authorization"] == "Bearer s3cret"
        body = known.get(self.path) if authorized else b"who are you?"
        self.send_response((200 if body else 404) if authorized else 401)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file, with a server behind it."""
    monkeypatch.setattr(Prices, "asked", [])
    monkeypatch.setenv("API_KEY", "s3cret")
    package = tmp_path / "modules" / "my_plugins"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "talib.py").write_text(TALIB)
    monkeypatch.syspath_prepend(str(package.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prices)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        file = tmp_path / "config.yaml"
        file.write_text(CONFIG.format(port=server.server_port))
        yield file
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_is_right(config, avm, tmp_path):
    done = avm("--config", config, "config", "check")
    assert (done.code, done.out) == (0, "")


def test_every_path_is_read_through_python(config, tmp_path):
    with AVM(config=config, db=tmp_path / "avm.db") as avm:
        assert avm.read("/live/prices/NVDA").text == "181.2\n"
        assert avm.read("/live/prices/茅台").text == "1500\n"
        assert "load average" in avm.read("/system/status").text
        assert avm.read("/live/indicators/NVDA").text == "RSI of NVDA: 72"
        avm.write("/memory/note", "x")
        assert avm.read("/memory/note").text == "x"


def test_every_path_is_read_through_the_command_line(config, avm, tmp_path):
    def run(*arguments: str):
        return avm("--config", config, "--db", tmp_path / "avm.db", *arguments)

    assert run("read", "/live/prices/NVDA").out == "181.2\n"
    assert "load average" in run("read", "/system/status").out
    assert run("read", "/live/indicators/NVDA").out.rstrip("\n") == "RSI of NVDA: 72"
    missing = run("read", "/live/prices/nothing")
    assert missing.code == 3 and "s3cret" not in missing.err
    assert run("write", "note", "--content", "x").code == 0


def test_a_ttl_is_honoured(config, tmp_path):
    with AVM(config=config, db=tmp_path / "avm.db") as avm:
        for _ in range(5):
            avm.read("/live/prices/NVDA")
    assert Prices.asked == ["/prices/NVDA"]


def test_writes_are_refused_with_the_rule_that_says_so(config, avm, tmp_path):
    with (
        AVM(config=config, db=tmp_path / "avm.db") as python,
        pytest.raises(Denied, match=r"config\.yaml:27"),
    ):
        python.write("/live/prices/NVDA", "1")
    for path in ("/live/prices/NVDA", "/live/indicators/x"):
        done = avm("--config", config, "--db", tmp_path / "avm.db", "write", path, "--content", "1")
        assert done.code == 4 and "config.yaml:27" in done.err, done.err
    done = avm("--config", config, "--db", tmp_path / "avm.db", "write", "/system/status", "--content", "1")
    assert done.code == 4 and "default_access" in done.err, done.err


def test_listing_and_walking_ask_nobody(config, avm, tmp_path):
    with AVM(config=config, db=tmp_path / "avm.db") as python:
        python.write("/memory/note", "x")
        names = {
            path: [entry.name for entry in python.list(path)]
            for path in ("/", "/live", "/live/prices", "/system")
        }
    assert names == {
        "/": ["live", "memory", "system"], "/live": ["indicators", "prices"], "/live/prices": [], "/system": ["status"],
    }  # fmt: skip
    assert avm("--config", config, "--db", tmp_path / "avm.db", "ls", "-R", "/").code in (0, 2)
    assert Prices.asked == []
