"""One request and what follows from it: redirects, deadline, limits, and errors of our tree only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore
import httpx

from avm_handlers.http_answers import BadAnswer, OverLimit, read_body
from avm_handlers.http_settings import Settings, Target
from avm_handlers.http_url import Origin
from avm_handlers.http_wire import NotPublic, Transport, until
from vfs_core.errors import Denied, TimedOut, TooLarge, VfsError

_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"user-agent": "avm", "accept": "*/*", "accept-encoding": "gzip"}


@dataclass(frozen=True)
class Answered:
    """The last answer. `host` gave it; `redirected` says whether another URL than the one asked did."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    host: str
    redirected: bool


@contextmanager
def _errors(path: str, host: Callable[[], str], limit: int) -> Iterator[None]:
    """What goes wrong on the way, as errors that name the path and the host and nothing of what was sent."""
    try:
        yield
    except httpcore.TimeoutException:
        raise TimedOut(
            f"{path}: {host()} did not answer in time; the rule's `timeout` or the caller's deadline is over"
        ) from None
    except httpcore.ConnectError as error:
        raise VfsError(f"{path}: {host()} cannot be reached: {error}") from error
    except NotPublic as error:
        raise Denied(
            f"{path}: a redirect leads to {error}, which is not on the public internet;"
            " if that is meant, write it into the rule's url"
        ) from None
    except OverLimit:
        raise TooLarge(
            f"{path}: the answer of {host()} is over {limit} bytes, the `max_bytes` of its rule"
        ) from None
    except BadAnswer as error:
        raise VfsError(f"{path}: the answer of {host()} {error}") from error
    except httpcore.ProxyError as error:
        raise VfsError(f"{path}: the proxy refused to connect to {host()}: {error}") from error
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        raise VfsError(f"{path}: the connection to {host()} broke: {error}") from error
    except (
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        httpx.HTTPError,
        httpx.InvalidURL,
        OSError,
    ) as error:
        # Their texts may quote what was sent.
        raise VfsError(f"{path}: {host()} cannot be asked: {type(error).__name__}") from None


class Exchange:
    """Makes the requests of one rule, from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        operations = (settings.read, settings.write, settings.delete)
        self._trusted = {each.url.origin[1:] for each in operations if each is not None}
        self._lock = threading.Lock()
        self._transport: Transport | None = None

    def ask(self, path: str, target: Target, condition: Mapping[str, str], seconds: float) -> Answered:
        """GET, following redirects; the body only of a success. `path` is named in errors.

        The target's headers go to its own origin only, until a redirect leaves it; those in `condition` to its own URL
        only. Raises TimedOut, TooLarge, Denied, VfsError.
        """
        home = Origin.of(target.url)
        url = target.url
        headers = {**dict(target.headers), **condition}
        with until(time.monotonic() + seconds), _errors(path, lambda: url.host, self._settings.max_bytes):
            for _ in range(self._settings.redirects + 1):
                response = self._send("GET", url, headers)
                try:
                    location = response.headers.get("location")
                    if response.status_code not in _REDIRECTS or location is None:
                        return self._answered(response, url, redirected=url is not target.url)
                finally:
                    _leave(response)
                url = self._next(path, url, location, home)
                # Who has left gets none of them again: the way back may be another's choice.
                headers = dict(target.headers) if headers and Origin.of(url) == home else {}
        raise VfsError(
            f"{path}: {home.host} redirects more than {self._settings.redirects} times, the `redirects` of its rule"
        )

    def tell(self, path: str, method: str, target: Target, data: bytes, seconds: float) -> Answered:
        """Send something. A redirect is not followed: what is meant for one server is sent to no other."""
        with (
            until(time.monotonic() + seconds),
            _errors(path, lambda: target.url.host, self._settings.max_bytes),
        ):
            response = self._send(method, target.url, dict(target.headers), data)
            _leave(response)
        return Answered(response.status_code, response.headers, b"", target.url.host, redirected=False)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def leave_to_parent(self) -> None:
        """In a forked child: the connections are the parent's, and one of its threads may have held the lock."""
        _abandoned.append(self._transport)
        self._transport, self._lock = None, threading.Lock()

    def _send(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], data: bytes = b""
    ) -> httpx.Response:
        with self._lock:
            if self._transport is None:
                self._transport = Transport(self._trusted, self._settings.proxy)
            transport = self._transport
        return transport.handle_request(
            httpx.Request(method, url, headers={**_HEADERS, **headers}, content=data)
        )

    def _answered(self, response: httpx.Response, url: httpx.URL, *, redirected: bool) -> Answered:
        body = b""
        if response.is_success:
            encoding = response.headers.get("content-encoding", "")
            length = response.headers.get("content-length", "")
            limit = self._settings.max_bytes
            if not encoding and length.isdigit() and len(length) < 20 and int(length) > limit:
                raise OverLimit
            body = read_body(response.iter_raw(), encoding, limit)
        return Answered(response.status_code, response.headers, body, url.host, redirected)

    def _next(self, path: str, url: httpx.URL, location: str, home: Origin) -> httpx.URL:
        """Where a redirect leads."""
        said = f"{path}: {url.host} answered with a redirect"
        try:
            found = url.join(location)
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise VfsError(f"{said} to what is no URL") from None
        if found.scheme not in ("http", "https") or not found.host:
            raise VfsError(
                f"{said} to a {found.scheme or 'nameless'} address; only http and https are followed"
            )
        if url.scheme == "https" and found.scheme == "http":
            raise VfsError(f"{said} from https to http, which anyone on the way could read and change")
        if self._settings.proxy is not None and Origin.of(found) != home:
            raise VfsError(
                f"{said} to {found.host}; through a proxy it is not followed, since only the proxy knows the address"
            )
        return found


def _leave(response: httpx.Response) -> None:
    """Be done with an answer. One without a body leaves its connection to the next request."""
    empty = response.status_code in (204, 304) or response.headers.get("content-length") == "0"
    if empty and not response.is_stream_consumed:
        for _ in response.iter_raw():
            pass
    response.close()


_abandoned: list[object] = []
"""What a parent had open; destroying it here would close nothing of the parent's, but complain."""
