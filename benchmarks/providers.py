"""Providers: loading many rules, finding the one that serves a path, and what a call of a handler costs."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from benchmarks.harness import Row, Settings, interleave, scratch
from vfs_core.config import Config, ProviderRule
from vfs_core.handler import BaseHandler, Context
from vfs_core.kernel import Kernel
from vfs_core.plugins import register_handler
from vfs_core.routing import RouteTable

FEW, MANY = 10, 10_000
LOAD_BAR, LOOKUP_BAR = 1.0, 2.0
_LOOKUPS = 1_000


class _Constant(BaseHandler):
    """Gives the same each time; called in a thread, as those of third parties are."""

    def read(self, path: str, context: Context) -> bytes:
        return b"constant"


class _Prompt(_Constant):
    """The same, called in the caller's thread."""

    keeps_deadline = True


def run(settings: Settings) -> list[Row]:
    """All rows about providers."""
    with scratch(settings) as directory:
        return [*_load(settings, directory), _lookup(settings), *_call(settings, directory)]


def _patterns(count: int) -> list[str]:
    return [f"/live/source{number}/{{symbol}}" for number in range(count)]


def _load(settings: Settings, directory: Path) -> list[Row]:
    count = settings.scaled(MANY, 1_000)
    file = directory / "config.yaml"
    rules = (
        f'  - pattern: "{each}"\n    handler: memory\n    config: {{root: /memory/x}}'
        for each in _patterns(count)
    )
    file.write_text("providers:\n" + "\n".join(rules) + "\n")
    taken = []
    for _ in range(settings.scaled(5, 3)):
        start = time.perf_counter()
        Kernel(file, directory / "avm.db").close()
        taken.append(time.perf_counter() - start)
    first, again = taken[0], sorted(taken[1:])[len(taken[1:]) // 2]
    conditions = "config.yaml read, checked against the schemas, compiled; no store opened"
    runs = {"seconds": taken}
    return [
        Row(
            f"load {count:,} providers, seen before", f"<= {LOAD_BAR:g} s", f"{again:.2f} s",
            None if settings.quick else again <= LOAD_BAR, None, conditions, runs,
        ),
        Row(f"load {count:,} providers, for the first time", "", f"{first:.2f} s", None, None, conditions, runs),
    ]  # fmt: skip


def _lookup(settings: Settings) -> Row:
    many = settings.scaled(MANY, 1_000)
    tables = {
        count: RouteTable([ProviderRule(each, "memory") for each in _patterns(count)])
        for count in (FEW, many)
    }

    def look_up(count: int) -> None:
        match = tables[count].match
        for number in range(_LOOKUPS):
            match(f"/live/source{number * 7919 % count}/NVDA")

    things = {"few": partial(look_up, FEW), "many": partial(look_up, many)}
    timed = interleave(settings.scaled(30, 5), _LOOKUPS, things)
    ratio = 1 / timed.ratio("many", "few")
    return Row(
        f"look-up among {many:,} providers against {FEW}", f"<= {LOOKUP_BAR:g}x", f"{ratio:.2f}x",
        None if settings.quick else ratio <= LOOKUP_BAR, ratio,
        f"{timed.per_operation('many') * 1e6:.2f} us against {timed.per_operation('few') * 1e6:.2f}",
        timed.seconds,
    )  # fmt: skip


def _call(settings: Settings, directory: Path) -> list[Row]:
    register_handler("bench-threaded", _Constant)
    register_handler("bench-prompt", _Prompt)
    rules = (
        ProviderRule("/threaded/{x}", "bench-threaded"), ProviderRule("/prompt/{x}", "bench-prompt"),
        ProviderRule("/kept/{x}", "bench-threaded", ttl=3600.0),
    )  # fmt: skip
    with Kernel(Config(providers=rules), directory / "calls.db") as kernel:
        session = kernel.session("bench")
        session.write("/memory/note", "there is a store")

        def read(place: str) -> None:
            for _ in range(_LOOKUPS):
                session.read(f"/{place}/a")

        names = ("prompt", "threaded", "kept")
        timed = interleave(settings.scaled(20, 3), _LOOKUPS, {name: partial(read, name) for name in names})
    costs = {name: timed.per_operation(name) * 1e6 for name in names}
    said = {
        "prompt": "a handler that keeps deadlines itself, in the caller's thread",
        "threaded": "any other, in a thread with a deadline",
        "kept": "a result that a ttl keeps",
    }
    return [
        Row(
            f"read through {said[name]}", "", f"{costs[name]:.0f} us", None, costs[name] / costs["prompt"],
            "a handler that does nothing, a whole Session.read; the ratio is to the first of these",
            {"us": [costs[name]]},
        )
        for name in names
    ]  # fmt: skip
