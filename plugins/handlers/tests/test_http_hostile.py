"""The `http` handler among names, servers and networks that mean ill: nothing gets out, in, or goes on for ever."""

import gzip
import ipaddress
import logging
import shutil
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm_handlers import http_wire
from avm_handlers.http import HttpHandler
from avm_handlers.http_addresses import is_public, resolve
from avm_handlers.http_answers import BadAnswer, OverLimit, read_body
from avm_handlers.http_remembered import Remembered
from avm_handlers.http_url import UrlTemplate, fill_query, fill_value
from vfs_core.config_text import Template
from vfs_core.errors import Denied, Invalid, TimedOut, TooLarge, VfsError
from vfs_core.handler import Context
from vfs_core.testing.handlers import ODD_REQUESTS
from vfs_core.types import Principal

Make = Callable[..., HttpHandler]

PATH = "/live/x"
SECRETS = ("hhh-secret", "qqq-secret", "uuu-secret")


def asking(deadline: float | None = None, **parameters: str) -> Context:
    return Context(Principal("akashi", "founder", "python"), None, parameters, deadline=deadline)  # type: ignore[arg-type]


# --- parameters ----------------------------------------------------------------------------------

HOSTILE = (
    *ODD_REQUESTS,
    *map(chr, range(0x20, 0x7F)),
    "a/b",
    "/etc/passwd",
    "//evil.com/",
    "a?b=c&d",
    "a#b",
    "user:pass@evil.com",
    "@evil.com",
    ":8080",
    "a\r\nHost: evil.com\r\n\r\nGET /secret HTTP/1.1",
    "a b\tc",
    "..%2f..%2fsecret",
    "%2e%2e",
    "%2E",
    "..;",
    "...",
    ".hidden",
    "..\\..",
    "\\\\evil.com\\share",
    "http://evil.com/",
    "\0",
    "\x7f\x80\x85\u2028",
    "\N{FULLWIDTH SOLIDUS}\N{FULLWIDTH FULL STOP}\N{ONE DOT LEADER}",
    "局势 紧张",
    "${API_KEY}",
    "$${x}",
    "x" * 60_000,
)
TEMPLATE = Template("https://api.example.com:8443/a/${p}/b-${p}?q=${p}")


def components(text: str) -> set[str]:
    """The parts of a name between slashes of either kind."""
    return set(text.replace("\\", "/").split("/"))


def check(value: str) -> None:
    """Whatever `value` is, it stays in its place, or is refused."""
    try:
        url = UrlTemplate(TEMPLATE, "url").fill({"p": value}, {})
    except Invalid as error:
        refused = not value or bool({".", ".."} & components(value)) or len(value) > 20_000
        surrogate = any(0xD800 <= ord(character) < 0xE000 for character in value)
        assert refused or surrogate, error
        return
    sent = urlsplit(str(url))
    assert (sent.scheme, sent.netloc, sent.fragment) == ("https", "api.example.com:8443", "")
    assert (sent.username, sent.password) == (None, None)
    target = url.raw_path.decode("ascii")
    assert all(0x20 < ord(character) < 0x7F for character in target)
    path, _, query = target.partition("?")
    empty, a, whole, tail = path.split("/")
    assert (empty, a, unquote(whole), unquote(tail)) == ("", "a", value, f"b-{value}")
    assert query.startswith("q=")
    assert not set("&#?/") & set(query.removeprefix("q="))
    assert unquote(query.removeprefix("q=")) == value
    with_query = UrlTemplate(TEMPLATE, "url").fill({"p": value}, {"more": "1"})
    assert str(with_query) == f"{url}&more=1"


def test_what_is_too_long_for_a_url_is_refused(make: Make):
    handler = make(Template("http://127.0.0.1:1/${p}"), query={"q": Template("${p}")})
    with pytest.raises(Invalid, match="too long"):
        handler.read(PATH, asking(p="x" * 40_000))


def test_a_parameter_named_as_a_variable_is_the_parameter(make: Make, web, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("symbol", "../ with spaces\n")
    web.contents["/a/NVDA"] = b"x"
    assert make(Template(web.url + "/a/${symbol}")).read(PATH, asking(symbol="NVDA")) == b"x"


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:40])
def test_a_hostile_parameter_stays_where_it_is_put(value: str):
    check(value)


@given(st.text(st.characters(codec=None), max_size=40) | st.text("./\\%2eE5cfF?#@:\r\n;&= ", max_size=12))
def test_any_parameter_stays_where_it_is_put(value: str):
    check(value)


@pytest.mark.parametrize("value", [value for value in HOSTILE if len(value) < 1000], ids=repr)
def test_the_server_sees_one_request_for_what_was_asked(web, make: Make, value: str):
    handler = make(
        Template(web.url + "/a/${p}"), headers={"X-P": Template("${p}")}, query={"q": Template("${p}")}
    )
    try:
        assert handler.read(PATH, asking(p=value)) is None
    except Invalid:
        assert {".", ".."} & components(value)
        assert web.asked == []
        return
    (asked,) = web.asked
    assert asked.headers["host"] == web.url.removeprefix("http://")
    assert unquote(asked.headers["x-p"]) == value
    path, _, query = asked.target.partition("?")
    assert (path.count("/"), unquote(path), unquote(query)) == (2, f"/a/{value}", f"q={value}")


@pytest.mark.parametrize(
    ("template", "parameters"),
    [
        ("/a/${p}/b", {"p": "."}),
        ("/a/${p}/b", {"p": ".."}),
        ("/a/${p}", {"p": ".."}),
        ("/a/.${p}", {"p": "."}),
        ("/a/${p}${q}", {"p": ".", "q": "."}),
        ("/a/%2e${p}", {"p": "."}),
        ("/a/${p}", {"p": "b/../c"}),
        ("/a/${p}", {"p": "..\\c"}),
        ("/a/${p}/", {"p": ""}),
        ("/a/${p}", {"p": "\ud800"}),
    ],
    ids=repr,
)
def test_what_would_climb_is_refused(template: str, parameters: dict[str, str]):
    with pytest.raises(Invalid):
        UrlTemplate(Template("https://a.com" + template), "url").fill(parameters, {})


@given(st.text(max_size=30).filter(bool))
def test_a_parameter_adds_no_header_and_no_part_of_a_query(value: str):
    header = fill_value(Template("id=${p}; mine"), {"p": value})
    assert header.isascii()
    assert header.isprintable()
    inner = header.removeprefix("id=").removesuffix("; mine")
    assert not set(" ;,=\"'\r\n") & set(inner)
    query = fill_query({"a": Template("${p}&b=1")}, {"p": value})["a"]
    assert not set("&=#?/ ") & set(query)
    assert unquote(query) == f"{value}&b=1"


# --- addresses -----------------------------------------------------------------------------------

CLOSED = (
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *(
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
    ),
    *(
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
    ),
    *("::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("2001:db8::1", "2001::1", "100::1", "3fff::1", "5f00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *(
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
    ),
    *("2002:7f00:1::", "2002:c0a8:101::1", "localhost", "2130706433", "0x7f.1", "", "1.2.3.4, 10.0.0.1"),
)
OPEN = (
    *("8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "93.184.216.34", "2606:4700::1111"),
    *("2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
)


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_on_the_public_internet(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", OPEN)
def test_what_is_on_the_public_internet(address: str):
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_an_ipv6_one_is_judged_by_itself(address: ipaddress.IPv4Address):
    assert is_public(f"::ffff:{address}") == is_public(f"64:ff9b::{address}") == is_public(str(address))


@given(st.ip_addresses())
def test_python_calls_nothing_private_that_is_public_here(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
):
    if is_public(str(address)) and not getattr(address, "sixtofour", None):
        assert address.is_global
        assert not address.is_multicast


# --- redirects -----------------------------------------------------------------------------------


def test_a_redirect_within_the_server_is_followed_with_everything(web, make: Make):
    web.say("/a", 302, Location="/b?x=1#part")
    web.say("/b?x=1", 301, Location=web.url + "/c/../d")
    web.contents["/d"] = b"there"
    assert make(web.url + "/a", headers={"X": "mine"}).read(PATH, asking()) == b"there"
    assert [(each.target, each.headers.get("x")) for each in web.asked] == [
        ("/a", "mine"),
        ("/b?x=1", "mine"),
        ("/d", "mine"),
    ]


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "127.1",
            "0",
            "0.0.0.0",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
        ),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "[::]", "127.0.0.1.", "user:pass@127.0.0.1"),
        *("１２７.0.0.1", "127。0。0。1"),
    ],
)
def test_a_redirect_to_a_private_address_asks_nobody(web, other_web, make: Make, host: str):
    other_web.contents["/secret"] = b"secret"
    location = f"http://{host}:{other_web.port}/secret"
    web.say("/a", 302, Location=location.encode().decode("latin-1"))
    with pytest.raises(VfsError) as caught:
        make(web.url + "/a").read(PATH, asking())
    assert other_web.asked == []
    assert str(caught.value).startswith("/live/x: ")
    assert "pass" not in str(caught.value)
    if host in ("127.0.0.1", "0.0.0.0"):
        assert type(caught.value) is Denied
        assert f"a redirect leads to {host}, port {other_web.port}, which is not on the public" in str(
            caught.value
        )


def test_what_is_written_in_the_configuration_is_trusted(web, other_web, make: Make):
    """The origin that is configured may be private, and only with its own port."""
    web.say("/a", 302, Location=other_web.url + "/x")
    other_web.contents["/x"] = b"x"
    handler = make(web.url + "/a", write={"url": other_web.url + "/w"})
    assert handler.read(PATH, asking()) == b"x"
    with pytest.raises(Denied):
        make(web.url + "/a").read(PATH, asking())


def test_another_server_gets_no_header_of_ours_and_nobody_after_it(
    web, other_web, make: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http_wire, "is_public", lambda address: True)
    web.say("/a", 302, Location=f"http://user:pass@127.0.0.1:{other_web.port}/b", ETag='"1"')
    other_web.say("/b", 307, Location=web.url + "/c")
    web.contents["/c"] = b"back"
    host = web.url.removeprefix("http://")
    handler = make(f"http://me:uuu@{host}/a", headers={"X": "mine"})
    assert handler.read(PATH, asking()) == b"back"
    first, back = web.asked
    (away,) = other_web.asked
    assert (first.headers["x"], "authorization" in first.headers) == ("mine", True)
    for each in (away, back):
        assert not {"x", "authorization", "cookie", "referer"} & set(each.headers)
    assert away.headers["host"] == other_web.url.removeprefix("http://")


def test_the_address_that_was_checked_is_the_one_that_is_reached(
    web, other_web, make: Make, monkeypatch: pytest.MonkeyPatch
):
    """DNS rebinding: the name has a public address when it is looked up first, and a private one after."""
    asked: list[str] = []
    reached: list[object] = []
    real_lookup, real_connect = socket.getaddrinfo, socket.create_connection

    def lookup(host: str, port: int, *rest: object, **more: object) -> object:
        if host != "rebind.example.com":
            return real_lookup(host, port, *rest, **more)  # type: ignore[arg-type]
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(address: tuple[str, int], *rest: object, **more: object) -> socket.socket:
        reached.append(address)
        if address[0] == "127.0.0.1":
            return real_connect(address, *rest, **more)  # type: ignore[arg-type]
        raise ConnectionRefusedError("not in this test")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket, "create_connection", connect)
    web.say("/a", 302, Location=f"http://rebind.example.com:{other_web.port}/secret")
    handler = make(web.url + "/a")
    with pytest.raises(VfsError, match=r"rebind\.example\.com cannot be reached"):
        handler.read(PATH, asking())
    assert reached == [("127.0.0.1", web.port), ("93.184.216.34", other_web.port)]
    assert len(asked) == 1
    with pytest.raises(Denied):
        handler.read(PATH, asking())
    assert ("127.0.0.1", other_web.port) not in reached
    assert other_web.asked == []


def test_one_private_address_among_public_ones_is_enough(web, make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_wire, "resolve", _resolving("evil.example.com", ["93.184.216.34", "10.0.0.1"]))
    web.say("/a", 302, Location="http://evil.example.com/")
    with pytest.raises(Denied, match=r"evil\.example\.com, port 80"):
        make(web.url + "/a").read(PATH, asking())


def _resolving(name: str, addresses: list[str]) -> Callable[[str, int, float], list[str]]:
    return lambda host, port, seconds: addresses if host == name else resolve(host, port, seconds)


def test_the_second_address_is_tried_where_the_first_is_dead(
    web, make: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http_wire, "resolve", _resolving("two.example.com", ["127.0.0.255", "127.0.0.1"]))
    web.contents["/x"] = b"x"
    assert make(f"http://two.example.com:{web.port}/x").read(PATH, asking()) == b"x"


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("file:///etc/passwd", "to a file address"),
        ("ftp://127.0.0.1/x", "to a ftp address"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "to a gopher address"),
        ("javascript:alert(1)", "to a javascript address"),
        ("data:text/plain,x", "to a data address"),
        ("http://[::1", "to what is no URL"),
        ("http://a.com:99999999/", "cannot be reached|no URL"),
        ("http://" + "a" * 70_000, "broke|no URL"),
    ],
    ids=lambda value: value[:30],
)
def test_a_redirect_to_no_web_page(web, make: Make, location: str, says: str):
    web.say("/a", 302, Location=location)
    with pytest.raises(VfsError, match=rf"^/live/x: .*({says})"):
        make(web.url + "/a").read(PATH, asking())


def test_redirects_are_counted(web, make: Make):
    web.say("/loop", 302, Location="/loop")
    with pytest.raises(VfsError, match="redirects more than 5 times, the `redirects` of its rule"):
        make(web.url + "/loop").read(PATH, asking())
    assert len(web.asked) == 6
    web.say("/1", 302, Location="/2")
    web.contents["/2"] = b"x"
    assert make(web.url + "/1", redirects=1).read(PATH, asking()) == b"x"
    with pytest.raises(VfsError, match="more than 0 times"):
        make(web.url + "/1", redirects=0).read(PATH, asking())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_what_is_written_is_not_sent_elsewhere(web, make: Make, status: int):
    web.say("/a", status, Location=web.url + "/b")
    handler = make(web.url + "/a", write={}, delete={})
    for act in (lambda: handler.write(PATH, b"x", asking()), lambda: handler.delete(PATH, asking())):
        with pytest.raises(VfsError, match=f"answered {status}"):
            act()
    assert {each.target for each in web.asked} == {"/a"}


def test_a_write_that_ends_in_see_other_is_done(web, make: Make):
    web.say("/a", 303, Location="http://127.0.0.1:1/")
    make(web.url + "/a", write={"method": "POST"}).write(PATH, b"x", asking())
    assert [each.target for each in web.asked] == ["/a"]


def test_an_answer_by_redirect_is_not_confirmed_by_another_urls_tag(web, make: Make):
    web.say("/a", 302, Location="/b", ETag='"a"')
    web.say("/b", 200, b"x", ETag='"b"')
    handler = make(web.url + "/a")
    for _ in range(2):
        assert handler.read(PATH, asking()) == b"x"
    assert all("if-none-match" not in each.headers for each in web.asked)


def test_not_modified_from_where_a_redirect_leads_confirms_nothing(web, make: Make):
    web.say("/a", 200, b"old", ETag='"a"')
    handler = make(web.url + "/a")
    assert handler.read(PATH, asking()) == b"old"
    web.say("/a", 302, Location="/b")
    web.say("/b", 304)
    with pytest.raises(VfsError, match="answered 304"):
        handler.read(PATH, asking())


# --- size ----------------------------------------------------------------------------------------


def bomb(size: int) -> bytes:
    """Zeros of this size, gzipped, without having them."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20))
    return packed + packer.flush()


def test_a_decompression_bomb_stops_early(web, make: Make):
    packed = bomb(256 << 20)
    assert len(packed) < 1 << 20
    web.say("/x", 200, packed, Content_Encoding="gzip")
    handler = make(web.url + "/x", max_bytes=1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match=r"^/live/x: .*over 1048576 bytes, the `max_bytes` of its rule"):
            handler.read(PATH, asking())
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 100_000])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_a_limit_is_exact_whatever_the_pieces(size: int, chunk: int):
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    for encoding, sent in (("", body), ("gzip", gzip.compress(body, mtime=0))):
        pieces = (sent[at : at + chunk] for at in range(0, len(sent), chunk))
        if size <= 1000:
            assert read_body(pieces, encoding, 1000) == body
        else:
            with pytest.raises(OverLimit):
                read_body(pieces, encoding, 1000)


@given(st.binary(max_size=200))
def test_any_bytes_are_gzip_or_no_gzip(data: bytes):
    try:
        body = read_body(iter([data]), "gzip", 1000)
    except (BadAnswer, OverLimit):
        return
    assert body == (gzip.decompress(data) if data else b"")


def test_an_answer_without_end_stops_at_the_limit(web, make: Make):
    def answer(request) -> None:
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        while not web.stopping.is_set():
            request.wfile.write(b"x" * 65536)

    web.answers["/x"] = answer
    with pytest.raises(TooLarge):
        make(web.url + "/x", max_bytes=1 << 20, timeout=600).read(PATH, asking())


def test_an_announced_length_is_believed_where_it_is_too_much(web, make: Make):
    def answer(request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        web.stopping.wait()

    web.answers["/x"] = answer
    with pytest.raises(TooLarge):
        make(web.url + "/x", timeout=600).read(PATH, asking())


def test_headers_without_end(web, make: Make):
    def answer(request) -> None:
        request.send_response(200)
        request.end_headers = lambda: None
        request.flush_headers()
        while not web.stopping.is_set():
            request.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")

    web.answers["/x"] = answer
    with pytest.raises(VfsError, match=r"the connection to 127\.0\.0\.1 broke"):
        make(web.url + "/x", timeout=600).read(PATH, asking())


# --- time ----------------------------------------------------------------------------------------


def silent(request, web) -> None:
    web.stopping.wait()


def drips_status(request, web) -> None:
    drip(request, web, b"HTTP/1.1 200 OK")


def drips_headers(request, web) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(request, web, b"x" * 10_000)


def drips_body(request, web) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    drip(request, web, b"x" * 10_000)


def drips_chunks(request, web) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(request, web, b"1\r\nx\r\n" * 10_000, 6)


def says_wait(request, web) -> None:
    drip(request, web, b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000, 27)


def redirects_slowly(request, web) -> None:
    web.stopping.wait(0.05)
    request.wfile.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n")


def drip(request, web, data: bytes, step: int = 1) -> None:
    """A little every 20 ms, for as long as the test lasts."""
    for at in range(0, len(data), step):
        request.wfile.write(data[at : at + step])
        request.wfile.flush()
        if web.stopping.wait(0.02):
            return


@pytest.mark.parametrize(
    "slow", [silent, drips_status, drips_headers, drips_body, drips_chunks, says_wait, redirects_slowly]
)
@pytest.mark.parametrize("whose", ["rule", "caller"])
def test_a_slow_server_is_left_when_the_whole_time_is_over(web, make: Make, slow, whose: str):
    """Each step of it is quick enough, and there is no end of them: without a limit for all, this test hangs."""
    web.answers["/x"] = lambda request: slow(request, web)
    handler = make(web.url + "/x", timeout=0.3 if whose == "rule" else 600, redirects=20)
    context = asking(deadline=None if whose == "rule" else time.monotonic() + 0.3)
    with pytest.raises(TimedOut, match=r"^/live/x: 127\.0\.0\.1 did not answer in time"):
        handler.read(PATH, context)
    web.contents["/y"] = b"the next one works"
    assert make(web.url + "/y").read(PATH, asking()) == b"the next one works"


def test_a_server_that_does_not_read_is_left(make: Make):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        handler = make(f"http://127.0.0.1:{deaf.getsockname()[1]}/x", timeout=0.3, write={})
        with pytest.raises(TimedOut):
            handler.write(PATH, bytes(64 << 20), asking())
        with pytest.raises(TimedOut):
            make(f"https://127.0.0.1:{deaf.getsockname()[1]}/x", timeout=0.3).read(PATH, asking())


def test_a_name_that_takes_for_ever_is_given_up(make: Make, monkeypatch: pytest.MonkeyPatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait() and [])
    try:
        with pytest.raises(TimedOut, match=r"slow\.example\.com did not answer in time"):
            make("http://slow.example.com/", timeout=0.2).read(PATH, asking())
    finally:
        over.set()


def test_each_thread_has_its_own_time(web, make: Make):
    web.contents["/quick"] = b"x"
    web.answers["/slow"] = lambda request: drips_body(request, web)
    handler = make(Template(web.url + "/${p}"), timeout=600)
    ended: list[object] = []

    def slow() -> None:
        try:
            handler.read(PATH, asking(p="slow", deadline=time.monotonic() + 0.5))
        except TimedOut as error:
            ended.append(error)

    threads = [threading.Thread(target=slow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        assert handler.read(PATH, asking(p="quick")) == b"x"
    for thread in threads:
        thread.join()
    assert len(ended) == 4


# --- nonsense, and what is kept quiet ------------------------------------------------------------

NONSENSE = (
    b"",
    b"\r\n\r\n",
    b"hello",
    b"<html>no HTTP</html>\n",
    b"HTTP/0.9 200 OK\r\n\r\nx",
    b"HTTP/1.1 999999 X\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: sideways\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\x80\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: \xc2\xb2\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 \xff\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
)


@pytest.mark.parametrize("answer", NONSENSE, ids=lambda answer: repr(answer)[:40])
def test_nonsense_is_an_error_that_tells_no_secret(
    web, make: Make, answer: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("KEY", SECRETS[1])

    def speak(request) -> None:
        request.wfile.write(answer)
        request.close_connection = True

    class Anything(dict):  # type: ignore[type-arg]
        def get(self, key: object, default: object = None) -> object:
            return speak

    web.answers = Anything()
    host = web.url.removeprefix("http://")
    url = Template(f"http://me:{SECRETS[2]}@{host}/${{p}}?key=${{KEY}}")
    handler = make(url, headers={"X": SECRETS[0]}, write={}, redirects=2)
    with caplog.at_level(logging.DEBUG):
        for act in (
            lambda: handler.read(PATH, asking(p="a")),
            lambda: handler.write(PATH, b"x", asking(p="a")),
        ):
            try:
                assert act() in (b"", b"x", None)
            except VfsError as error:
                said = str(error)
                assert said.startswith("/live/x: ")
                assert not any(secret in said for secret in SECRETS)
    assert not any(secret in caplog.text for secret in SECRETS)


@pytest.mark.parametrize(
    "answer", [NONSENSE[0], NONSENSE[3], NONSENSE[7], NONSENSE[8], NONSENSE[10], NONSENSE[18]]
)
def test_nothing_is_shown_of_an_answer_that_is_broken(web, make: Make, answer: bytes):
    def speak(request) -> None:
        request.wfile.write(answer)
        request.close_connection = True

    web.answers["/x"] = speak
    with pytest.raises(VfsError, match=r"the connection to 127\.0\.0\.1 broke"):
        make(web.url + "/x").read(PATH, asking())


def test_what_is_remembered_is_bounded_in_count_and_bytes():
    kept = Remembered()
    tag = {"etag": '"x"'}
    for number in range(300):
        kept.put(number, tag, b"x")
    assert [number for number in range(300) if kept.get(number)] == list(range(44, 300))
    for number in range(40):
        kept.put(number, tag, bytes(1 << 20))
    assert [number for number in range(40) if kept.get(number)] == list(range(24, 40))
    kept.put("big", tag, bytes((16 << 20) + 1))
    assert kept.get("big") is None
    assert kept.get(39) is not None
    kept.put(39, {}, b"")
    assert kept.get(39) is None
    kept.clear()
    kept.put("full", tag, bytes(16 << 20))
    assert kept.get("full") is not None


# --- TLS -----------------------------------------------------------------------------------------

CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""A key and its self-signed certificate for 127.0.0.1, for these tests only, until 2125."""


@pytest.fixture
def https_port(web) -> Iterator[int]:
    """The same server behind TLS: a port that passes on what it gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    listening = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def accept() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                client = context.wrap_socket(plain, server_side=True)
            except OSError:
                plain.close()
                continue
            server = socket.create_connection(("127.0.0.1", web.port))
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()
            client.close()
            server.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(10)


def test_a_certificate_that_nobody_vouches_for_is_refused(web, https_port: int, make: Make):
    web.contents["/x"] = b"x"
    with pytest.raises(VfsError, match=r"127\.0\.0\.1 cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
        make(f"https://127.0.0.1:{https_port}/x").read(PATH, asking())
    assert web.asked == []


def test_https_with_an_authority_of_the_users_own(
    web, https_port: int, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    authority = tmp_path / "ca.pem"
    shutil.copy(CERTIFICATE, authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    url = f"https://127.0.0.1:{https_port}"
    web.contents["/x"] = b"x" * 100_000
    handler = make(url + "/x", write={})
    assert handler.read(PATH, asking()) == b"x" * 100_000
    handler.write(PATH, bytes(300_000), asking())
    assert web.contents["/x"] == bytes(300_000)
    handler.close()
    web.say("/down", 302, Location=web.url + "/x")
    with pytest.raises(VfsError, match="redirect from https to http"):
        make(url + "/down").read(PATH, asking())
    assert [each.target for each in web.asked] == ["/x", "/x", "/down"]


def test_httpx_reads_urls_as_the_check_of_the_origin_does():
    """The check looks at the text before the first `/`, `?` or `#`; so must what is connected to."""
    for tail in ("/@evil.com", "?@evil.com", "#@evil.com", "/\\evil.com", "//evil.com", "/%40evil.com:80"):
        assert httpx.URL("https://a.com" + tail).host == "a.com"
