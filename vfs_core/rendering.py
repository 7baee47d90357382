"""What several front ends show in the same form: names on one line, versions, contents, blame, access."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from vfs_core.types import JSON, Version

if TYPE_CHECKING:
    from vfs_core.explaining import AccessReport
    from vfs_core.hindsight import BlamedLine

BREAKS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def one_line(text: str) -> str:
    """A name as listings print it: line breaks and tabs are shown as escapes."""
    return BREAKS.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def local_time(time_ns: int) -> str:
    """A moment as a person reads it, in the local time zone."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000).strftime("%Y-%m-%d %H:%M")


def content_json(data: bytes) -> dict[str, str]:
    """Content as JSON can carry it: `content` if it is UTF-8, else `base64`."""
    try:
        return {"content": data.decode()}
    except UnicodeDecodeError:
        import base64

        return {"base64": base64.b64encode(data).decode("ascii")}


def version_json(version: Version) -> dict[str, JSON]:
    """A version as JSON."""
    return {
        "version": version.version,
        "time": version.time.isoformat(),
        "author": version.author,
        "change": version.operation,
        "size": version.size,
        "path": version.path,
        "sequence": version.sequence,
        "hash": version.content_hash.hex(),
    }


def blame_json(line: BlamedLine) -> dict[str, JSON]:
    """A line and the version that brought it, as JSON."""
    return {"line": line.number, "text": line.text, **version_json(line.version)}


def blame_line(line: BlamedLine, shown: Callable[[str], str] = one_line) -> str:
    """A line behind the version, author and time that brought it; `shown` is how texts are made harmless."""
    version = line.version
    return (
        f"v{version.version:<4} {shown(version.author):<12} {local_time(version.time_ns)}  {shown(line.text)}"
    )


def access_head(report: AccessReport, shown: Callable[[str], str] = one_line) -> list[str]:
    """What holds for all agents: path, owner, space, rule and shares, a line each."""
    lines = [shown(report.path)]
    if report.owner:
        lines.append(f"owner {shown(report.owner)}, group {shown(report.group)}, mode {report.mode}")
    if report.space is not None:
        lines.append(f"in the private space of {shown(report.space)}")
    if report.rule:
        lines.append(f"rule: {shown(report.rule)}")
    for agent, granted in sorted(report.shares.items()):
        lines.append(f"shared with {shown(agent)} ({granted})")
    return lines


def access_rows(report: AccessReport) -> list[tuple[str, str, str]]:
    """For each agent: its name, what it may, what keeps it from more."""
    return [(each.agent, " ".join(each.allowed) or "nothing", each.reason) for each in report.agents]
