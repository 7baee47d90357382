"""URLs and headers in which parameters of the pattern stand: filled so that a parameter stays a parameter.

A parameter is percent-encoded down to letters, digits and `-._~` wherever it is put, so it has no character that
means anything in a URL or a header. What is left are `.` and `..` as a whole component of a path, which clients and
servers resolve: they are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

import httpx

from vfs_core.config_text import Template
from vfs_core.errors import Invalid

_PORTS = {"http": 80, "https": 443}
_MARKED = re.compile("\0([^\0]*)\0")
_NAMED = re.compile(r"\$(\$?)\{([^{}]*)\}")
_ORIGIN = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Origin(NamedTuple):
    """Who is asked: requests to the same one may have the same credentials."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: httpx.URL) -> Origin:
        """The origin of an http or https URL."""
        return cls(
            url.scheme, url.raw_host.decode("ascii"), _PORTS[url.scheme] if url.port is None else url.port
        )


class UrlTemplate:
    """One URL of the configuration. `key` names it in errors, which never show it: it may hold secrets.

    `origin` is the one that the configuration names. Raises Invalid for what is no http or https URL, and where a
    parameter stands before the path.
    """

    def __init__(self, text: str, key: str) -> None:
        self._text, self._key = text, key
        if _FORBIDDEN.search(text):
            raise self._wrong(r"has no spaces, line breaks, control characters or '\'")
        # Which names are parameters is known with the first request only; here, all that the environment lacks.
        names = {name for _, name in _NAMED.findall(text)} - os.environ.keys()
        self.origin = self._begin(_marked(text, names))[0]
        if not isinstance(text, Template):
            self.fill({}, {})

    def fill(self, parameters: Mapping[str, str], query: Mapping[str, str]) -> httpx.URL:
        """The URL for one request, with `query` (filled already) behind it. Raises Invalid."""
        marked = _marked(self._text, parameters)
        origin, end = self._begin(marked)
        if origin != self.origin:
            raise self._wrong("names one server; the variables in it have changed since it was first used")
        rest = _filled(marked[end:], parameters).partition("#")[0]
        if _FORBIDDEN.search(rest):
            raise self._wrong("has no spaces, line breaks, control characters or '\\', also in its variables")
        for part in rest.partition("?")[0].split("/"):
            if {".", ".."} & set(re.split(r"[/\\]", unquote(part))):
                raise Invalid("a path on the server has no component '.' or '..'; ask for another name")
        for name, value in query.items():
            rest += f"{'&' if '?' in rest else '?'}{quote(name, safe='')}={value}"
        return self._parse(marked[:end] + rest)

    def _begin(self, marked: str) -> tuple[Origin, int]:
        """The origin that a URL begins with, and where in its text that ends."""
        found = _ORIGIN.match(marked)
        if found is None or "\0" in found.group():
            raise self._wrong(
                "begins with http:// or https:// and a host, and no parameter comes before the path"
            )
        if _FORBIDDEN.search(found.group()):
            raise self._wrong("has no spaces, line breaks, control characters or '\\', also in its variables")
        url = self._parse(found.group())
        origin = Origin.of(url)
        if not url.host or not 0 < origin.port < 65536:
            raise self._wrong("names a host, and a port from 1 to 65535 if any")
        return origin, found.end()

    def _parse(self, text: str) -> httpx.URL:
        try:
            return httpx.URL(text)
        except (httpx.InvalidURL, UnicodeError):
            raise self._wrong("is not a valid URL, or too long") from None

    def _wrong(self, right: str) -> Invalid:
        return Invalid(f"config.{self._key} of the handler 'http' {right}")


def encoded(name: str, value: str) -> str:
    """A parameter's value as it is put anywhere. Raises Invalid where it has none, or is no text."""
    if not value:
        raise Invalid(f"the parameter {name!r} is empty; a name is needed there")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise Invalid(f"the parameter {name!r} is not text in UTF-8") from None


def fill_value(text: str, parameters: Mapping[str, str]) -> str:
    """A string of the configuration with its parameters percent-encoded."""
    if not isinstance(text, Template):
        return text
    return _filled(_marked(text, parameters), parameters)


def fill_query(query: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, str]:
    """The values of a query, ready to be put behind a URL."""
    filled = {}
    for name, text in query.items():
        marked = _marked(text, parameters) if isinstance(text, Template) else text
        pieces = _MARKED.split(marked)  # literal, name, literal, name, literal
        filled[name] = "".join(
            encoded(piece, parameters[piece]) if place % 2 else quote(piece, safe="")
            for place, piece in enumerate(pieces)
        )
    return filled


def _filled(marked: str, parameters: Mapping[str, str]) -> str:
    return _MARKED.sub(lambda found: encoded(found.group(1), parameters[found.group(1)]), marked)


def check_header(name: str, value: str) -> None:
    """Raise Invalid for a value that no header can have; it is not shown."""
    if not _HEADER_VALUE.fullmatch(value):
        raise Invalid(
            f"config.headers.{name} of the handler 'http' has a character that headers cannot have"
            " (a line break, a control character or one beyond ASCII); is there one in its variable?"
        )


def _marked(text: str, names: Collection[str]) -> str:
    """The text with its variables from the environment, and each parameter's name between two NULs."""
    if not isinstance(text, Template):
        return text
    return text.fill({name: f"\0{name}\0" for name in names}, os.environ)
