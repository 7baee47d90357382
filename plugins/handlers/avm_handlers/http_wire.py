"""The wire below httpx: connections that keep to a whole request's deadline and go only where they may.

httpx's own timeouts are for a single read, so a server that sends a byte a second never meets one. And it connects
by name, so that the address that was checked need not be the one that is reached. Both are decided here, where
sockets are opened and read.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpcore
import httpx

from avm_handlers.http_addresses import is_public, resolve

_WRITE_BYTES = 1 << 16
_CONNECTIONS = 20
_KEEP_SECONDS = 5.0

_deadline: ContextVar[float] = ContextVar("avm_http_deadline")
"""Of the request that this thread is making, as `time.monotonic()` counts."""


class NotPublic(Exception):
    """A host that is not trusted has an address that is not on the public internet; the message names it."""


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """All that is done within ends at `deadline`, by an httpcore.TimeoutException."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def _left() -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return left


class Transport(httpx.BaseTransport):
    """Sends httpx's requests by connections to the `trusted` (host, port) pairs, and else to public addresses only.

    It takes nothing from the environment but where certificates lie (SSL_CERT_FILE). With a proxy, it connects to
    that only. An httpx.Client is not put before it: that would keep cookies, which pass from one agent to another,
    and log URLs, which may hold secrets. httpcore's errors come through as they are.
    """

    def __init__(self, trusted: Collection[tuple[str, int]], proxy: str | None) -> None:
        tls = httpx.create_ssl_context()
        if proxy is None:
            self._pool = httpcore.ConnectionPool(
                ssl_context=tls,
                max_connections=_CONNECTIONS,
                keepalive_expiry=_KEEP_SECONDS,
                network_backend=_Backend(trusted),
            )
            return
        url = httpx.URL(proxy)
        self._pool = httpcore.HTTPProxy(
            proxy_url=httpcore.URL(scheme="http", host=url.raw_host, port=url.port or 80, target="/"),
            proxy_auth=(url.username, url.password) if url.userinfo else None,
            ssl_context=tls,
            max_connections=_CONNECTIONS,
            keepalive_expiry=_KEEP_SECONDS,
            network_backend=_Backend([(url.raw_host.decode("ascii"), url.port or 80)]),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, within `until`; the answer's body is still to be read."""
        response = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.read(),
                extensions={"timeout": {"pool": _left()}},
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _Backend(httpcore.NetworkBackend):
    """Opens connections: looks the name up, checks all its addresses, and connects to one of these."""

    def __init__(self, trusted: Collection[tuple[str, int]]) -> None:
        self._trusted = frozenset(trusted)
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that answers. Raises NotPublic."""
        try:
            addresses = resolve(host, port, _left())
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(f"no address is known ({error.strerror or error})") from error
        if (host, port) not in self._trusted and not all(map(is_public, addresses)):
            raise NotPublic(f"{host}, port {port}")
        failure: Exception = httpcore.ConnectError("no address is known")
        for tried, address in enumerate(addresses):
            try:
                # A share each, so that one that never answers leaves time for the next.
                stream = self._sockets.connect_tcp(
                    address, port, _left() / (len(addresses) - tried), local_address, socket_options
                )
                return _Stream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection of which every step ends at the deadline of the request that it is used for."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next, at least a byte unless it has ended."""
        return self._inner.read(max_bytes, _left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all."""
        sock = self._inner.get_extra_info("socket")
        rest = memoryview(buffer)
        while rest:
            sock.settimeout(_left())
            try:
                sent = sock.send(rest[:_WRITE_BYTES])
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error
            rest = rest[sent:]

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """The same connection with TLS."""
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left()))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def get_extra_info(self, info: str) -> object:
        """What httpcore asks of a connection."""
        return self._inner.get_extra_info(info)
