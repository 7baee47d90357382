"""What the tests of `http` share: handlers, and a web server on loopback that remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

from avm_handlers.http import HttpHandler


class Asked(NamedTuple):
    """A request as it came over the wire; the headers' names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Web:
    """`contents` are served by target; `answers` come first: functions that are given the request at work."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port: int = server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.contents: dict[str, bytes] = {}
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[Asked] = []
        self.clients: set[tuple[str, int]] = set()
        self.stopping = threading.Event()

    def say(self, target: str, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Let `target` answer always the same."""
        self.answers[target] = lambda request: send(request, status, body, **headers)


def send(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer a request. Underscores in the headers' names stand for hyphens."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    if status not in (204, 304):
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        web.asked.append(
            Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        )
        web.clients.add(self.client_address)
        answer = web.answers.get(self.path)
        if answer is not None:
            answer(self)
        elif self.command == "PUT":
            web.contents[self.path] = body
            send(self, 204)
        elif self.path not in web.contents:
            send(self, 404, b"nothing here")
        elif self.command == "DELETE":
            del web.contents[self.path]
            send(self, 204)
        else:
            send(self, 200, web.contents[self.path])

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_CONNECT = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


def serve() -> tuple[Web, Callable[[], None]]:
    """A server that runs, and what stops it."""
    server = _Server(("127.0.0.1", 0), _Request)
    web = Web(server)
    server.web = web  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    def stop() -> None:
        web.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()

    return web, stop


@pytest.fixture
def web() -> Iterator[Web]:
    running, stop = serve()
    yield running
    stop()


@pytest.fixture
def other_web() -> Iterator[Web]:
    """A second server: another origin."""
    running, stop = serve()
    yield running
    stop()


@pytest.fixture
def make() -> Iterator[Callable[..., HttpHandler]]:
    """Makes handlers of the kind `http`, and closes them."""
    handlers: list[HttpHandler] = []

    def made(url: str, **config: object) -> HttpHandler:
        handlers.append(HttpHandler({"url": url, **config}))
        return handlers[-1]

    yield made
    for handler in handlers:
        handler.close()
