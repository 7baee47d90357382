"""What a server answered: its body within a limit, and its status as an error of ours.

Messages name the path that was asked for and the server's host, and nothing else of the request: URLs and headers
may hold secrets.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from vfs_core.errors import Conflict, Denied, Invalid, ReadOnly, TimedOut, TooLarge, Unsupported, VfsError

if TYPE_CHECKING:
    from jmespath.parser import ParsedResult

_PIECE = 1 << 16


class BadAnswer(Exception):
    """A body that is not what its headers say; the message says how."""


class OverLimit(Exception):
    """A body is larger than it may be."""


def read_body(pieces: Iterable[bytes], encoding: str, limit: int) -> bytes:
    """A body, with gzip taken off. Raises OverLimit past `limit` bytes, and BadAnswer.

    No more than a piece is ever unpacked beyond the limit.
    """
    encoding = encoding.strip().lower()
    if encoding in ("gzip", "x-gzip"):
        pieces = _unpacked(pieces)
    elif encoding not in ("", "identity"):
        raise BadAnswer("is encoded in another way than the gzip that it was offered")
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > limit:
            raise OverLimit
    return bytes(body)


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of gzip members, one after the other."""
    unpacker = _gzip()
    begun = False
    for packed in pieces:
        rest = packed
        while rest:
            if unpacker.eof:
                unpacker = _gzip()
            begun = True
            try:
                yield unpacker.decompress(rest, _PIECE)
            except zlib.error:
                raise BadAnswer("is no valid gzip") from None
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if begun and not unpacker.eof:
        raise BadAnswer("is gzip that ends in the middle")


def _gzip() -> zlib._Decompress:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def failure(path: str, host: str, status: int, headers: Mapping[str, str], *, writing: bool) -> VfsError:
    """The error for a status that is neither success nor 'there is nothing' (404, 410)."""
    said = f"{path}: {host} answered {status}"
    if status in (401, 403):
        return Denied(f"{said}: it refuses this; are the credentials in the rule's headers right?")
    if status in (409, 412):
        return Conflict(f"{said}: what is there has changed meanwhile; read it again")
    if status == 413:
        return TooLarge(f"{said}: the content is larger than it takes")
    if status in (405, 501):
        if writing:
            return ReadOnly(f"{said}: it does not take this method; is the rule's `method` right?")
        return Unsupported(f"{said}: it cannot be read from there")
    if status in (408, 504):
        return TimedOut(f"{said}: it took too long itself; try again")
    if status in (400, 415, 422):
        return Invalid(f"{said}: it takes this name or content for wrong")
    if status == 429:
        wait = headers.get("retry-after", "")
        when = f"in {wait} s" if wait.isascii() and wait.isdigit() and len(wait) < 7 else "later"
        return VfsError(f"{said}: too many requests; try again {when}")
    if status >= 500:
        return VfsError(f"{said}: it failed; try again later")
    return VfsError(f"{said}, which is not an answer to use")


def transformed(expression: ParsedResult, path: str, host: str, body: bytes) -> bytes | None:
    """What a JMESPath expression finds in a JSON body: text as it is, anything else as JSON with a final newline.

    Where it finds nothing (null), there is nothing: None. Raises VfsError for what is not JSON, and for what the
    expression cannot be used on.
    """
    from jmespath.exceptions import JMESPathError

    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise VfsError(
            f"{path}: the answer of {host} is not JSON, which the rule's `transform` needs"
        ) from None
    try:
        found = expression.search(document)
        if found is None:
            return None
        text = (
            found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n"
        )
        return text.encode()
    except (JMESPathError, ValueError, TypeError, RecursionError) as error:
        kind = type(error).__name__
        raise VfsError(
            f"{path}: the rule's `transform` cannot be used on the answer of {host}: {kind}"
        ) from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
