"""The `http` handler keeps the handler contract; what services answer, and the configuration, become what users see."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from avm_handlers.http import HttpHandler
from vfs_core.config import Config, PermissionRule, ProviderRule, check_config, load_config
from vfs_core.config_text import Template
from vfs_core.errors import (
    ConfigError,
    Conflict,
    Denied,
    Invalid,
    MissingExtra,
    NotFound,
    ReadOnly,
    TimedOut,
    TooLarge,
    Unsupported,
    VfsError,
)
from vfs_core.handler import BaseHandler, Context
from vfs_core.kernel import Kernel
from vfs_core.plugins import Registry
from vfs_core.testing import HandlerTests
from vfs_core.types import Principal

Make = Callable[..., HttpHandler]

PATH = "/live/x"


def asking(deadline: float | None = None, **parameters: str) -> Context:
    return Context(Principal("akashi", "founder", "python"), None, parameters, deadline=deadline)  # type: ignore[arg-type]


def reply(request: object, status: int, body: bytes = b"", **headers: str) -> None:
    """As the server of the tests answers."""
    request.send_response(status)  # type: ignore[attr-defined]
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)  # type: ignore[attr-defined]
    if status != 304:
        request.send_header("Content-Length", str(len(body)))  # type: ignore[attr-defined]
    request.end_headers()  # type: ignore[attr-defined]
    request.wfile.write(body)  # type: ignore[attr-defined]


class TestHttpHandler(HandlerTests):
    @pytest.fixture
    def handler(self, web) -> Iterator[BaseHandler]:
        web.contents["/store/here.md"] = b"here\0\xff"
        url = Template(web.url + "/store/${name}")
        handler = HttpHandler({"url": url, "write": {"method": "PUT"}, "delete": {}})
        yield handler
        handler.close()

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        return "/live/here.md", b"here\0\xff"

    @pytest.fixture
    def absent(self) -> str:
        return "/live/absent.md"

    @pytest.fixture
    def make_context(self) -> Callable[[str], Context]:
        return lambda path: asking(name=path.removeprefix("/live/"))


# --- from a configuration to a path --------------------------------------------------------------


def seed(web) -> dict[str, object]:
    return {
        "url": web.url + "/prices/${symbol}",
        "headers": {"Authorization": "Bearer ${API_KEY}"},
    }


def test_the_example_of_the_contract(web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_KEY", "s3cret")
    web.contents["/prices/NVDA"] = b'{"price": 875.5}'
    rule = ProviderRule("/live/prices/{symbol}", "http", seed(web), ttl=60, where="c.yaml:2")
    with Kernel(Config(providers=(rule,)), tmp_path / "avm.db") as kernel:
        session = kernel.session("akashi")
        node = session.read("/live/prices/NVDA")
        assert (node.path, node.data) == ("/live/prices/NVDA", b'{"price": 875.5}')
        with pytest.raises(NotFound, match=r"^/live/prices/NONE: not found$"):
            session.read("/live/prices/NONE")
        with pytest.raises(Denied, match="read-only unless a rule says rw"):
            session.write("/live/prices/NVDA", "1")
        assert session.list("/live/prices") == []
    assert {each.method for each in web.asked} == {"GET"}
    assert {each.headers["authorization"] for each in web.asked} == {"Bearer s3cret"}
    assert web.asked[0].target == "/prices/NVDA"


def test_the_example_of_the_contract_from_a_file(web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_KEY", "s3cret")
    web.contents["/prices/%E5%B1%80%E5%8A%BF"] = b"1"
    file = tmp_path / "config.yaml"
    file.write_text(
        f"""
providers:
  - pattern: "/live/prices/{{symbol}}"
    handler: http
    config:
      url: "{web.url}/prices/${{symbol}}"
      headers:
        Authorization: "Bearer ${{API_KEY}}"
    ttl: 60
"""
    )
    with Kernel(load_config(file), tmp_path / "avm.db") as kernel:
        assert kernel.session("akashi").read("/live/prices/局势").data == b"1"
    assert web.asked[0].headers["authorization"] == "Bearer s3cret"


def test_a_rule_may_write_and_delete(web, tmp_path: Path):
    config = {"url": web.url + "/items/${id}", "write": {"method": "PUT"}, "delete": {"method": "DELETE"}}
    rule = ProviderRule("/items/{id}", "http", config)
    permissions = (PermissionRule("/**", "rw"),)
    with Kernel(Config(providers=(rule,), permissions=permissions), tmp_path / "avm.db") as kernel:
        session = kernel.session("akashi")
        session.write("/items/7", "seven")
        assert session.read("/items/7").text == "seven"
        session.delete("/items/7")
        assert not session.exists("/items/7")
        with pytest.raises(NotFound):
            session.delete("/items/7")


def test_the_schema_checks_every_setting_with_its_line(tmp_path: Path):
    file = tmp_path / "config.yaml"
    good = """
providers:
  - pattern: "/a/{b}"
    handler: http
    config:
      url: "${BASE}/a/${b}"
      query: { n: 1, text: "${b}" }
      headers: { X: "y" }
      timeout: 2.5
      max_bytes: 1000
      redirects: 0
      transform: "a.b"
      proxy: "http://proxy.example.com:3128"
      write: { method: POST, url: "https://api.example.com/", query: {}, headers: {} }
      delete: { method: DELETE }
"""
    file.write_text(good)
    assert check_config(file, Registry()) == []
    changes = {
        '"${BASE}/a/${b}"': '"ftp://a.com/${b}"',
        "timeout: 2.5": "timout: 2.5",
        "max_bytes: 1000": 'max_bytes: "1000"',
        "redirects: 0": "redirects: 21",
        '"http://proxy': '"socks5://proxy',
        "method: POST": "method: GET",
        "method: DELETE": "verb: DELETE",
    }
    bad = good
    for old, new in changes.items():
        assert old in bad
        bad = bad.replace(old, new)
    file.write_text(bad)
    problems = check_config(file, Registry())
    assert {problem.key.removeprefix("providers[0].config") for problem in problems} == {
        *(".url", ".timout", ".max_bytes", ".redirects", ".proxy", ".write.method", ".delete.verb")
    }
    assert all(re.fullmatch(rf"{re.escape(str(file))}:\d+", problem.where) for problem in problems)


def test_looking_around_asks_nobody_and_imports_nothing(web, tmp_path: Path):
    code = f"""
import sys
from vfs_core.config import Config, ProviderRule
from vfs_core.kernel import Kernel
rule = ProviderRule("/live/prices/{{symbol}}", "http", {{"url": "{web.url}/x/${{symbol}}"}})
with Kernel(Config(providers=(rule,)), {str(tmp_path / "avm.db")!r}) as kernel:
    session = kernel.session("akashi")
    print([entry.name for entry in session.list("/live")], [e.name for e in session.list("/live/prices")])
    print(sorted({{"httpx", "httpcore", "jmespath"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['prices'] []\n[]\n", "")
    assert web.asked == []


@pytest.mark.parametrize("missing", ["httpx", "jmespath"])
def test_a_missing_library_says_what_to_type(missing: str, monkeypatch: pytest.MonkeyPatch):
    for name in [
        name for name in sys.modules if name.partition(".")[0] == missing or "handlers.http_" in name
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=rf"needs {missing}: pip install 'avm\[http\]'"):
        HttpHandler({"url": "https://example.com/", "transform": "a"})


# --- what is sent --------------------------------------------------------------------------------


def test_headers_and_query_take_parameters_and_variables(web, make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOKEN", "t0k")
    handler = make(
        web.url + "/q?fixed=1",
        query={"symbol": Template("${symbol}/${TOKEN}"), "n": 3, "text": "a&b c"},
        headers={"X-Symbol": Template("for ${symbol}"), "X-Plain": "p"},
    )
    assert handler.read(PATH, asking(symbol="a&b=c/d")) is None
    asked = web.asked[0]
    assert asked.target == "/q?fixed=1&symbol=a%26b%3Dc%2Fd%2Ft0k&n=3&text=a%26b%20c"
    assert (asked.headers["x-symbol"], asked.headers["x-plain"]) == ("for a%26b%3Dc%2Fd", "p")


def test_a_login_in_the_url_is_sent_as_a_header(web, make: Make):
    host = web.url.removeprefix("http://")
    make(f"http://me:p%40ss@{host}/x").read(PATH, asking())
    make(f"http://me:p%40ss@{host}/x", headers={"authorization": "Own"}).read(PATH, asking())
    assert [each.headers["authorization"] for each in web.asked] == ["Basic bWU6cEBzcw==", "Own"]


def test_writing_and_deleting_say_what_they_are_told_to(web, make: Make):
    web.say("/add?dry=1", 201)
    web.say("/gone/7", 202)
    handler = make(
        web.url + "/items",
        headers={"X-A": "a", "X-B": "b"},
        query={"q": "1"},
        write={
            "method": "POST",
            "url": web.url + "/add",
            "query": {"dry": 1},
            "headers": {"x-b": "B", "Content-Type": "text/plain"},
        },
        delete={"method": "POST", "url": Template(web.url + "/gone/${id}")},
    )
    handler.write(PATH, b"body\0", asking(id="7"))
    handler.delete(PATH, asking(id="7"))
    written, deleted = web.asked
    assert (written.method, written.target, written.body) == ("POST", "/add?dry=1", b"body\0")
    assert [written.headers[name] for name in ("x-a", "x-b", "content-type")] == ["a", "B", "text/plain"]
    assert (deleted.method, deleted.target, deleted.body) == ("POST", "/gone/7", b"")


def test_credentials_for_reading_are_not_for_the_server_that_is_written_to(web, other_web, make: Make):
    headers = {"Authorization": "for reading"}
    write = {"url": other_web.url + "/w", "headers": {"X-Own": "own"}}
    make(web.url + "/x", headers=headers, write=write).write(PATH, b"x", asking())
    (written,) = other_web.asked
    assert written.headers["x-own"] == "own"
    assert "authorization" not in written.headers


def test_what_is_not_configured_is_refused_and_says_what_is_missing(web, make: Make):
    handler = make(web.url + "/x")
    with pytest.raises(ReadOnly, match="its rule's config has no `write`"):
        handler.write(PATH, b"x", asking())
    with pytest.raises(ReadOnly, match="its rule's config has no `delete`"):
        handler.delete(PATH, asking())
    with pytest.raises(Unsupported):
        handler.stat(PATH, asking())
    assert web.asked == []


def test_no_cookie_passes_from_one_request_to_the_next(web, make: Make):
    web.say("/x", 200, b"x", Set_Cookie="session=akashi; Path=/")
    handler = make(web.url + "/x")
    for _ in range(2):
        handler.read(PATH, asking())
    assert all("cookie" not in each.headers for each in web.asked)


def test_the_environment_names_no_proxy_and_no_login(
    web, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    web.contents["/x"] = b"direct"
    assert make(web.url + "/x").read(PATH, asking()) == b"direct"
    assert "authorization" not in web.asked[0].headers


def test_a_proxy_that_is_configured_is_used(web, other_web, make: Make):
    proxy = f"http://user:pass@127.0.0.1:{other_web.port}"
    other_web.contents["http://api.example.com/x"] = b"by proxy"
    assert make("http://api.example.com/x", proxy=proxy).read(PATH, asking()) == b"by proxy"
    assert other_web.asked[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
    other_web.say("http://api.example.com/away", 302, Location=web.url + "/secret")
    with pytest.raises(VfsError, match="through a proxy it is not followed"):
        make("http://api.example.com/away", proxy=proxy).read(PATH, asking())
    other_web.say("api.example.com:443", 403)
    with pytest.raises(VfsError, match=r"the proxy refused to connect to api\.example\.com"):
        make("https://api.example.com/x", proxy=proxy).read(PATH, asking())
    assert web.asked == []


# --- what is answered ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (401, Denied, "credentials"),
        (403, Denied, "credentials"),
        (409, Conflict, "read it again"),
        (412, Conflict, "read it again"),
        (413, TooLarge, "larger"),
        (408, TimedOut, "too long"),
        (504, TimedOut, "too long"),
        (400, Invalid, "wrong"),
        (422, Invalid, "wrong"),
        (429, VfsError, "try again in 7 s"),
        (500, VfsError, "failed"),
        (503, VfsError, "failed"),
        (402, VfsError, "not an answer to use"),
        (300, VfsError, "not an answer to use"),
        (304, VfsError, "not an answer to use"),
    ],
)
def test_a_status_becomes_an_error_that_names_it(web, make: Make, status: int, error: type, says: str):
    web.say("/x", status, b"<p>secret details</p>" if status != 304 else b"", Retry_After="7")
    handler = make(web.url + "/x?key=qqq", headers={"X": "hhh"}, write={}, delete={})
    web.answers["/x?key=qqq"] = web.answers.pop("/x")
    for act in (
        lambda: handler.read(PATH, asking()),
        lambda: handler.write(PATH, b"x", asking()),
        lambda: handler.delete(PATH, asking()),
    ):
        with pytest.raises(error, match=rf"^/live/x: 127\.0\.0\.1 answered {status}.*{says}") as caught:
            act()
        assert type(caught.value) is error
        assert not any(secret in str(caught.value) for secret in ("secret", "qqq", "hhh"))


@pytest.mark.parametrize("status", [405, 501])
def test_a_method_that_is_not_taken(web, make: Make, status: int):
    web.say("/x", status)
    handler = make(web.url + "/x", write={})
    with pytest.raises(Unsupported, match=f"answered {status}"):
        handler.read(PATH, asking())
    with pytest.raises(ReadOnly, match=f"answered {status}.*`method`"):
        handler.write(PATH, b"", asking())


@pytest.mark.parametrize("status", [404, 410])
def test_nothing_there(web, make: Make, status: int):
    web.say("/x", status, b"sorry")
    handler = make(web.url + "/x", write={}, delete={})
    assert handler.read(PATH, asking()) is None
    for act in (lambda: handler.write(PATH, b"", asking()), lambda: handler.delete(PATH, asking())):
        with pytest.raises(NotFound, match=r"^/live/x: not found$"):
            act()


def test_an_empty_answer_is_an_empty_file(web, make: Make):
    web.say("/none", 204)
    web.say("/empty", 200)
    assert make(web.url + "/none").read(PATH, asking()) == b""
    assert make(web.url + "/empty").read(PATH, asking()) == b""


@pytest.mark.parametrize(
    ("transform", "shown"),
    [
        ("name", "局势".encode()),
        ("price", b"875.5\n"),
        ("[name, price]", '["局势", 875.5]\n'.encode()),
        ("items[?n > `1`].n", b"[2, 3]\n"),
        ("@.empty", b""),
        ("flag", b"false\n"),
        ("missing.deeper", None),
        ("nothing", None),
        ("length(items)", b"3\n"),
    ],
)
def test_a_transform_shows_a_part(web, make: Make, transform: str, shown: bytes | None):
    document = {"name": "局势", "price": 875.5, "items": [{"n": 1}, {"n": 2}, {"n": 3}], "empty": ""}
    web.contents["/x"] = json.dumps({**document, "flag": False, "nothing": None}).encode()
    assert make(web.url + "/x", transform=transform).read(PATH, asking()) == shown


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"a": NaN}', b"\xff\xfe\0", b"[" * 100_000, b"9" * 5000, b'{"a": 1} x'],
    ids=["empty", "html", "NaN", "no text", "deep", "long number", "more"],
)
def test_what_is_not_json_cannot_be_transformed(web, make: Make, body: bytes):
    web.contents["/x"] = body
    with pytest.raises(VfsError, match=r"^/live/x: the answer of 127\.0\.0\.1 is not JSON") as caught:
        make(web.url + "/x", transform="a").read(PATH, asking())
    assert type(caught.value) is VfsError


@pytest.mark.parametrize(
    ("transform", "body"), [("length(a)", b'{"a": 1}'), ("a", b'{"a": "\\ud800"}'), ("@", b"[1e400]")]
)
def test_a_transform_that_does_not_fit_says_so(web, make: Make, transform: str, body: bytes):
    web.contents["/x"] = body
    with pytest.raises(VfsError, match="`transform` cannot be used on the answer"):
        make(web.url + "/x", transform=transform).read(PATH, asking())


def test_gzip_is_unpacked(web, make: Make):
    body = os.urandom(100_000) + bytes(300_000)
    web.say("/one", 200, gzip.compress(body), Content_Encoding="gzip")
    web.say("/two", 200, gzip.compress(b"a") + gzip.compress(b"b"), Content_Encoding="x-GZIP")
    web.say("/empty", 200, b"", Content_Encoding="gzip")
    assert make(web.url + "/one").read(PATH, asking()) == body
    assert make(web.url + "/two").read(PATH, asking()) == b"ab"
    assert make(web.url + "/empty").read(PATH, asking()) == b""
    assert web.asked[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (b"not gzip", "gzip", "is no valid gzip"),
        (gzip.compress(b"x" * 1000)[:-9], "gzip", "ends in the middle"),
        (gzip.compress(b"x") + b"junk", "gzip", "is no valid gzip"),
        (b"x", "br", "in another way"),
        (gzip.compress(gzip.compress(b"x")), "gzip, gzip", "in another way"),
    ],
)
def test_a_body_that_is_not_what_it_says(web, make: Make, body: bytes, encoding: str, says: str):
    web.say("/x", 200, body, Content_Encoding=encoding)
    with pytest.raises(VfsError, match=rf"^/live/x: the answer of 127\.0\.0\.1 .*{says}"):
        make(web.url + "/x").read(PATH, asking())


# --- asking again --------------------------------------------------------------------------------


def test_an_etag_saves_sending_again(web, make: Make):
    state = {"tag": '"1"', "body": b'{"v": 1}'}

    def answer(request: object) -> None:
        if request.headers.get("If-None-Match") == state["tag"]:  # type: ignore[attr-defined]
            reply(request, 304, ETag=state["tag"])
        else:
            reply(request, 200, state["body"], ETag=state["tag"])

    web.answers["/x"] = answer
    handler = make(web.url + "/x", transform="v")
    assert [handler.read(PATH, asking()) for _ in range(3)] == [b"1\n"] * 3
    assert [each.headers.get("if-none-match") for each in web.asked] == [None, '"1"', '"1"']
    state.update(tag='"2"', body=b'{"v": 2}')
    assert [handler.read(PATH, asking()) for _ in range(2)] == [b"2\n"] * 2
    web.say("/x", 404)
    assert handler.read(PATH, asking()) is None
    assert handler.read(PATH, asking()) is None
    assert "if-none-match" not in web.asked[-1].headers


def test_answers_to_other_parameters_and_headers_are_other_answers(web, make: Make):
    web.say("/a", 200, b"a", ETag='"same"')
    web.say("/b", 200, b"b", ETag='"same"')
    handler = make(Template(web.url + "/${p}"), headers={"X": Template("${h}")})
    for p, h in (("a", "1"), ("b", "1"), ("a", "2")):
        assert handler.read(PATH, asking(p=p, h=h)) == p.encode()
    assert all("if-none-match" not in each.headers for each in web.asked)


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"ETag": 'W/"w"'}, "if-none-match"),
        ({"ETag": '"x"', "Cache_Control": "max-age=3, No-Store"}, None),
        ({"ETag": '"x"', "Vary": "*"}, None),
        ({"ETag": '"' + "x" * 2000 + '"'}, None),
        ({"Last_Modified": formatdate(1e9, usegmt=True)}, "if-modified-since"),
        ({"Last_Modified": "yesterday"}, None),
        ({}, None),
    ],
)
def test_what_is_asked_the_second_time(web, make: Make, headers: dict[str, str], sent: str | None):
    web.say("/x", 200, b"x", **headers)
    handler = make(web.url + "/x")
    for _ in range(2):
        assert handler.read(PATH, asking()) == b"x"
    conditions = [name for name in web.asked[1].headers if name.startswith("if-")]
    assert conditions == ([sent] if sent else [])


def test_a_change_in_the_second_of_the_last_one_is_seen(web, make: Make):
    """Servers count modifications in seconds, and would say "not modified" to the second change."""
    now = formatdate(usegmt=True)

    def answer(request: object) -> None:
        if "If-Modified-Since" in request.headers:  # type: ignore[attr-defined]
            reply(request, 304)
        else:
            body = web.contents["/x"]
            request.send_response_only(200)  # type: ignore[attr-defined]
            for name, value in (("Date", now), ("Last-Modified", now), ("Content-Length", str(len(body)))):
                request.send_header(name, value)  # type: ignore[attr-defined]
            request.end_headers()  # type: ignore[attr-defined]
            request.wfile.write(body)  # type: ignore[attr-defined]

    web.answers["/x"] = answer
    handler = make(web.url + "/x")
    for body in (b"first", b"second"):
        web.contents["/x"] = body
        assert handler.read(PATH, asking()) == body


# --- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, r"config\.url .* is text, such as https://"),
        ({"url": 7}, r"config\.url"),
        ({"url": "ftp://example.com/"}, r"begins with http:// or https://"),
        ({"url": "file:///etc/passwd"}, r"begins with http:// or https://"),
        ({"url": "//example.com/"}, r"begins with http:// or https://"),
        ({"url": "https:///x"}, r"begins with http:// or https://"),
        ({"url": "https://user@/x"}, r"names a host|valid"),
        ({"url": "https://a.com:99999/"}, "a port from 1 to 65535"),
        ({"url": "https://a.com:0/"}, "names a host"),
        ({"url": "https://a.com\\@b.com/"}, "control characters"),
        ({"url": "https://a.com/\n"}, "control characters"),
        ({"url": "https://a.com/x y"}, "no spaces"),
        ({"url": "https://a.com/a/../b"}, r"no component '\.' or '\.\.'"),
        ({"url": "https://a.com/a/%2e%2E/b"}, r"no component '\.' or '\.\.'"),
        ({"url": Template("https://${host}/x")}, "no parameter comes before the path"),
        ({"url": Template("https://${sub}.example.com/x")}, "no parameter comes before the path"),
        ({"url": Template("https://a.com${rest}")}, "no parameter comes before the path"),
        ({"url": Template("https://a.com:${port}/x")}, "no parameter comes before the path"),
        ({"url": Template("https://${user}@a.com/x")}, "no parameter comes before the path"),
        ({"url": Template("${scheme}://a.com/x")}, "no parameter comes before the path"),
        ({"url": Template("${url}")}, "no parameter comes before the path"),
        ({"url": "https://a.com/", "transform": "a[?"}, "is a JMESPath expression, which 'a"),
        ({"url": "https://a.com/", "transform": ""}, "is a JMESPath expression"),
        ({"url": "https://a.com/", "transform": "(" * 5000}, "is a JMESPath expression"),
        ({"url": "https://a.com/", "transform": Template("${x}")}, "names no parameters"),
        ({"url": "https://a.com/", "transform": 7}, "is one JMESPath expression"),
        ({"url": "https://a.com/", "timeout": 0}, r"config\.timeout .* number from 0\.001 to 600"),
        ({"url": "https://a.com/", "timeout": float("nan")}, r"config\.timeout"),
        ({"url": "https://a.com/", "timeout": True}, r"config\.timeout"),
        ({"url": "https://a.com/", "max_bytes": 1.5}, "whole number"),
        ({"url": "https://a.com/", "redirects": -1}, "whole number from 0 to 20"),
        ({"url": "https://a.com/", "headers": ["A: b"]}, "maps names to texts"),
        ({"url": "https://a.com/", "headers": {"A b": "c"}}, "no name of a header"),
        ({"url": "https://a.com/", "headers": {"A:\r\nX": "c"}}, "no name of a header"),
        ({"url": "https://a.com/", "headers": {"A": "secret\n"}}, "a line break"),
        ({"url": "https://a.com/", "headers": {"A": "1", "a": "2"}}, "twice"),
        ({"url": "https://a.com/", "headers": {"Host": "b.com"}}, "cannot be set"),
        ({"url": "https://a.com/", "headers": {"Transfer-Encoding": "chunked"}}, "cannot be set"),
        ({"url": "https://a.com/", "headers": {"A": None}}, "is text or a number"),
        ({"url": "https://a.com/", "query": "a=b"}, "maps names to texts"),
        ({"url": "https://a.com/", "query": {"a": Template("\0x\0${y}")}}, "has no NUL"),
        ({"url": "https://a.com/", "proxy": "socks5://a"}, "address of a proxy"),
        ({"url": "https://a.com/", "proxy": "https://a"}, "address of a proxy"),
        ({"url": "https://a.com/", "write": "PUT"}, "is a mapping"),
        ({"url": "https://a.com/", "write": {"method": "GET"}}, "is one of PUT, POST, PATCH"),
        ({"url": "https://a.com/", "write": {"verb": "PUT"}}, r"config\.write\.verb .* is not known"),
        ({"url": "https://a.com/", "write": {"url": "ftp://x"}}, r"config\.write\.url"),
        ({"url": "https://a.com/", "verify": False}, r"config\.verify .* is not known"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_wrong_configuration_is_refused_when_the_handler_is_made(config: dict[str, object], says: str):
    with pytest.raises(Invalid, match=says) as caught:
        HttpHandler(config)
    assert "secret" not in str(caught.value)


def test_variables_may_stand_anywhere_in_the_url(web, make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BASE", web.url + "/v1")
    web.contents["/v1/a"] = b"x"
    handler = make(Template("${BASE}/${name}"))
    assert handler.read(PATH, asking(name="a")) == b"x"
    with pytest.raises(Invalid, match="no parameter comes before the path"):
        handler.read(PATH, asking(name="a", BASE="http://127.0.0.1:1"))
    monkeypatch.setenv("BASE", "http://127.0.0.1:1")
    with pytest.raises(Invalid, match="the variables in it have changed"):
        handler.read(PATH, asking(name="a"))
    monkeypatch.delenv("BASE")
    with pytest.raises(ConfigError, match="the variable BASE is not set"):
        handler.read(PATH, asking(name="a"))


# --- life ----------------------------------------------------------------------------------------


def test_a_connection_is_used_again(web, make: Make):
    web.contents["/x"] = b"x"
    handler = make(web.url + "/x", write={})
    for _ in range(5):
        handler.read(PATH, asking())
        handler.write(PATH, b"x", asking())
    assert len(web.clients) == 1


def test_a_child_has_connections_of_its_own_and_the_parent_keeps_its(web, make: Make):
    web.contents["/x"] = b"x"
    handler = make(web.url + "/x")
    assert handler.read(PATH, asking()) == b"x"
    (mine,) = web.clients
    with (
        handler._exchange._lock,  # as if another thread were at work
        handler._remembered._lock,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forks beside threads, which is what this is about
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            status = 1
            try:
                status = 0 if handler.read(PATH, asking()) == b"x" else 2
                handler.close()
            finally:
                os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(web.clients) == 2
    assert handler.read(PATH, asking()) == b"x"
    assert len(web.clients) == 2
    assert mine in web.clients


def test_closing_closes_the_connections(web, make: Make):
    web.contents["/x"] = b"x"
    handler = make(web.url + "/x")
    handler.read(PATH, asking())
    pool = handler._exchange._transport._pool  # type: ignore[union-attr]
    assert len(pool.connections) == 1
    handler.close()
    assert pool.connections == []


def test_a_server_that_is_not_there(make: Make):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(VfsError, match=r"^/live/x: 127\.0\.0\.1 cannot be reached: .*refused"):
            make(f"http://127.0.0.1:{port}/x?key=secret").read(PATH, asking())


def test_a_name_that_does_not_exist(make: Make):
    for host in ("nothing.invalid", "a" * 64 + ".invalid"):
        with pytest.raises(VfsError, match=rf"^/live/x: {host} cannot be reached"):
            make(f"http://{host}/x").read(PATH, asking())


def test_a_deadline_of_the_caller_is_kept_without_asking(web, make: Make):
    with pytest.raises(TimedOut):
        make(web.url + "/x").read(PATH, asking(deadline=time.monotonic() - 1))
    assert web.asked == []
