"""The `config` of a rule with the handler `http`, read once, with everything wrong refused."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import httpx

from avm_handlers.http_url import UrlTemplate, check_header, fill_query, fill_value
from vfs_core.config_text import Template
from vfs_core.errors import Invalid
from vfs_core.types import JSON

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "if-modified-since"),
        *("if-none-match", "keep-alive", "proxy-authorization", "proxy-connection", "range", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
"""Headers on which the handler itself depends."""

_KEYS = (
    *("url", "query", "headers", "timeout", "max_bytes", "redirects", "transform", "proxy"),
    *("write", "delete"),
)


class Target(NamedTuple):
    """Where one request goes, and the headers that the configuration gives it. For that server's eyes only."""

    url: httpx.URL
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Operation:
    """What is sent for one operation."""

    method: str
    url: UrlTemplate
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def target(self, parameters: Mapping[str, str]) -> Target:
        """What is sent for these parameters. A login in the URL becomes a header. Raises Invalid."""
        url = self.url.fill(parameters, fill_query(self.query, parameters))
        headers = {name: fill_value(text, parameters) for name, text in self.headers.items()}
        for name, value in headers.items():
            check_header(name, value)
        if url.userinfo:
            login = b64encode(f"{url.username}:{url.password}".encode()).decode("ascii")
            headers.setdefault("authorization", f"Basic {login}")
        return Target(url.copy_with(userinfo=b""), tuple(headers.items()))


@dataclass(frozen=True)
class Settings:
    """A rule's `config`. Times are in seconds, sizes in bytes."""

    read: Operation
    write: Operation | None
    delete: Operation | None
    timeout: float
    max_bytes: int
    redirects: int
    transform: ParsedResult | None
    proxy: str | None


def settings(config: Mapping[str, JSON]) -> Settings:
    """The settings of a configuration. Raises Invalid."""
    for key in config:
        if key not in _KEYS:
            raise _wrong(str(key), f"is not known; there are {', '.join(_KEYS)}")
    read = Operation(
        "GET",
        UrlTemplate(_text(config, "url"), "url"),
        _texts(config, "query"),
        _headers(config, ""),
    )
    return Settings(
        read=read,
        write=_operation(config, "write", ("PUT", "POST", "PATCH"), read),
        delete=_operation(config, "delete", ("DELETE", "POST", "PUT", "PATCH"), read),
        timeout=_number(config, "timeout", 10, 0.001, 600),
        max_bytes=int(_number(config, "max_bytes", 10 << 20, 1, 1 << 30, whole=True)),
        redirects=int(_number(config, "redirects", 5, 0, 20, whole=True)),
        transform=_transform(config),
        proxy=_proxy(config),
    )


def _operation(
    config: Mapping[str, JSON], key: str, methods: tuple[str, ...], read: Operation
) -> Operation | None:
    """`write` or `delete`: what it does not say is as for reading."""
    own = config.get(key)
    if own is None:
        return None
    if not isinstance(own, Mapping):
        raise _wrong(key, f"is a mapping, such as {{method: {methods[0]}}}")
    for name in own:
        if name not in ("method", "url", "query", "headers"):
            raise _wrong(f"{key}.{name}", "is not known; there are method, url, query, headers")
    method = own.get("method", methods[0])
    if method not in methods:
        raise _wrong(f"{key}.method", f"is one of {', '.join(methods)}")
    content_type = {"content-type": "application/octet-stream"} if key == "write" else {}
    url, query = read.url, read.query
    if "url" in own:
        url, query = UrlTemplate(_text(own, "url", key), f"{key}.url"), {}
    if "query" in own:
        query = _texts(own, "query", key)
    # Credentials for one server are not for another.
    shared = read.headers if url.origin == read.url.origin else {}
    return Operation(str(method), url, query, {**content_type, **shared, **_headers(own, f"{key}.")})


def _text(config: Mapping[str, JSON], key: str, above: str = "") -> str:
    value = config.get(key)
    if not isinstance(value, str) or not value:
        raise _wrong(
            f"{above}.{key}" if above else key, "is text, such as https://api.example.com/prices/${symbol}"
        )
    return value


def _texts(config: Mapping[str, JSON], key: str, above: str = "") -> dict[str, str]:
    value = config.get(key, {})
    name = f"{above}.{key}" if above else key
    if not isinstance(value, Mapping):
        raise _wrong(name, "maps names to texts")
    texts: dict[str, str] = {}
    for each, text in value.items():
        if isinstance(text, bool) or not isinstance(text, (str, int, float)):
            raise _wrong(f"{name}.{each}", "is text or a number")
        texts[str(each)] = text if isinstance(text, str) else str(text)
        if "\0" in texts[str(each)]:
            raise _wrong(f"{name}.{each}", "has no NUL characters")
    return texts


def _headers(config: Mapping[str, JSON], above: str) -> dict[str, str]:
    """The headers, by lower-case names."""
    headers = _texts(config, "headers", above.rstrip("."))
    seen: set[str] = set()
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise _wrong(f"{above}headers", f"has {name!r}, which is no name of a header")
        if name.lower() in _OURS:
            raise _wrong(
                f"{above}headers.{name}", "cannot be set; the handler sets it itself where it is needed"
            )
        if name.lower() in seen:
            raise _wrong(f"{above}headers.{name}", "stands there twice")
        seen.add(name.lower())
        if not isinstance(value, Template):
            check_header(name, value)
    return {name.lower(): value for name, value in headers.items()}


def _number(
    config: Mapping[str, JSON], key: str, default: float, low: float, high: float, *, whole: bool = False
) -> float:
    value = config.get(key, default)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise _wrong(key, f"is a {'whole ' if whole else ''}number from {low} to {high}")
    return value


def _transform(config: Mapping[str, JSON]) -> ParsedResult | None:
    text = config.get("transform")
    if text is None:
        return None
    if not isinstance(text, str) or isinstance(text, Template):
        raise _wrong("transform", "is one JMESPath expression and names no parameters")
    import jmespath

    try:
        return jmespath.compile(text)
    except (jmespath.exceptions.JMESPathError, RecursionError) as error:
        raise _wrong("transform", f"is a JMESPath expression, which {text!r} is not: {error}") from error


def _proxy(config: Mapping[str, JSON]) -> str | None:
    text = config.get("proxy")
    if text is None:
        return None
    if not isinstance(text, str) or isinstance(text, Template) or not text.startswith("http://"):
        raise _wrong(
            "proxy", "is the address of a proxy, such as http://proxy.example.com:3128, without parameters"
        )
    UrlTemplate(text, "proxy")
    return text


def _wrong(key: str, right: str) -> Invalid:
    return Invalid(f"config.{key} of the handler 'http' {right}")
