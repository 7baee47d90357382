"""Answers kept to be confirmed: a server that says "not modified" need not send them again.

They are never used without asking. How long a result may be reused unasked is the rule's `ttl`, which the kernel
sees to.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime

_ENTRIES = 256
_BYTES = 16 << 20
_VALIDATOR_CHARACTERS = 1024


@dataclass(frozen=True)
class Answer:
    """A body, and the request headers that ask whether it is still so."""

    body: bytes
    ask: Mapping[str, str]


class Remembered:
    """The answers used last, by what was asked: at most 256, of 16 MiB together. Safe among threads."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, asked: Hashable) -> Answer | None:
        """The answer to this request, if there is one to confirm."""
        with self._lock:
            answer = self._answers.get(asked)
            if answer is not None:
                self._answers.move_to_end(asked)
            return answer

    def put(self, asked: Hashable, headers: Mapping[str, str], body: bytes) -> None:
        """Keep an answer in the place of the last one, if it may be kept and confirmed."""
        ask = _questions(headers)
        with self._lock:
            self._drop(asked)
            if ask and len(body) <= _BYTES:
                self._answers[asked] = Answer(body, ask)
                self._bytes += len(body)
            while len(self._answers) > _ENTRIES or self._bytes > _BYTES:
                self._drop(next(iter(self._answers)))

    def forget(self, asked: Hashable) -> None:
        """Drop the answer to one request."""
        with self._lock:
            self._drop(asked)

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._answers.clear()
            self._bytes = 0

    def _drop(self, asked: Hashable) -> None:
        answer = self._answers.pop(asked, None)
        if answer is not None:
            self._bytes -= len(answer.body)


def _questions(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that ask whether an answer with these `headers` is still so; none if it is not to be kept."""
    directives = {each.strip().lower() for each in headers.get("cache-control", "").split(",")}
    if "no-store" in directives or "*" in headers.get("vary", ""):
        return {}
    tag = headers.get("etag", "")
    if tag and len(tag) <= _VALIDATOR_CHARACTERS and tag.isascii() and tag.isprintable():
        return {"If-None-Match": tag}
    modified = headers.get("last-modified", "")
    if _is_certain(modified, headers.get("date", "")):
        return {"If-Modified-Since": modified}
    return {}


def _is_certain(modified: str, answered: str) -> bool:
    """Whether a time of modification tells this content from any other (RFC 9110, section 8.8.2.2).

    It counts in seconds: what is read in the second of its change may change again in the same one.
    """
    try:
        return parsedate_to_datetime(answered) - parsedate_to_datetime(modified) >= timedelta(seconds=1)
    except (TypeError, ValueError, OverflowError):
        return False
