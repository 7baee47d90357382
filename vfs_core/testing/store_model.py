"""The store suite against a model: random changes by two agents do what they do in `MemoryStore`."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from vfs_core.content import CHUNK
from vfs_core.errors import VfsError
from vfs_core.past import Retention
from vfs_core.storage import Check, Store, Transaction, allow_all
from vfs_core.testing.memory_store import FOUNDER, MemoryStore
from vfs_core.testing.store_help import AKASHI, KURO, Asked, Recorder, StoreFixtures, in_trash, known, tree_at
from vfs_core.types import Access, Kind, Origin

Step = tuple[str, Callable[[Transaction], object]]
"""What is done, in words and as a function."""

NAMES = ("a", "b", "c-1", "c-2", "局势")
PLACES = ("/memory", "/memory/shared", "/memory/private/akashi", "/memory/private/kuro", "/top")
STEPS = 120


class Dice:
    """Makes up changes. Few names, and often one used before, so that they meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.used: list[str] = []

    def path(self) -> str:
        """A path of one to three names below one of a few places."""
        if self.used and self.random.random() < 0.7:
            path = self.random.choice(self.used[-25:])
            parent = path.rpartition("/")[0]
            return parent if self.random.random() < 0.2 and parent not in PLACES else path
        depth = self.random.choice((1, 1, 2, 2, 3))
        path = "/".join((self.random.choice(PLACES), *self.random.choices(NAMES, k=depth)))
        self.used.append(path)
        return path

    def data(self) -> bytes:
        """Content, mostly small."""
        return self.random.randbytes(self.random.choice((0, 5, 5, 500, CHUNK, CHUNK + 1)))

    def origin(self) -> Origin:
        """One of two agents."""
        return self.random.choice((AKASHI, KURO))

    def deleted(self, transaction: Transaction, path: str) -> list[int]:
        """The nodes that were deleted at a path, in order of deletion."""
        last = self.last_id(transaction)
        found = [each for id in range(1, last + 1) if (each := transaction.trashed(id)) and each.path == path]
        return [each.stat.id for each in sorted(found, key=lambda each: each.sequence)]

    @staticmethod
    def last_id(transaction: Transaction) -> int:
        """No node has a higher id."""
        return transaction.find("/").sequence

    def step(self) -> Step:
        """One change."""
        pick, path, other = self.random.choice, self.path(), self.path()
        data, base = self.data(), pick((None, None, None, 0, 1, 2))
        tags = self.random.sample(("x", "y", "局"), self.random.randint(0, 2))
        patch = pick((None, {"title": pick(NAMES), "tags": tags}, {"title": None}))
        flag, mode = pick((True, False)), pick((0o600, 0o640, 0o700, 0o711, 0o755, 0o777, 0o2777))
        offset = pick((0, 3, 400, CHUNK - 1, CHUNK, CHUNK + 5, 5 * CHUNK + 1))
        access: Access | None = pick(("r", "rw", None))
        agent, kind, weight = pick(("akashi", "kuro", "third")), pick(("peer", "citation")), pick((0.5, 1.0))
        steps: dict[str, tuple[int, str, Callable[[Transaction], object]]] = {
            "write": (
                8,
                f"{path}, {len(data)} bytes, patch {patch}, base {base}",
                lambda t: t.write(path, data, patch=patch, base_version=base)[1],
            ),
            "append": (4, f"{path}, {len(data)} bytes", lambda t: t.append(path, data)[1]),
            "update_meta": (3, f"{path}, {patch}", lambda t: t.update_meta(path, patch or {})),
            "mkdir": (
                2,
                f"{path}, {flag}",
                lambda t: bool(t.mkdir(path, parents=flag, exist_ok=flag)),
            ),
            "write_range": (4, f"{path} at {offset}", lambda t: t.write_range(path, offset, data)[1]),
            "truncate": (3, f"{path} to {offset}", lambda t: t.truncate(path, offset)[1]),
            "write_blocks": (2, path, lambda t: t.write_blocks(path, [data, data[:7], data])[1]),
            "symlink": (1, path, lambda t: t.make_special(path, Kind.SYMLINK, target=other).size),
            "mknod": (1, path, lambda t: t.make_special(path, Kind.BLOCK, device=7).device),
            "hard_link": (3, f"{path} as {other}", lambda t: t.hard_link(path, other).links),
            "set_posix_owner": (1, path, lambda t: t.set_posix_owner(path, offset, None)[10:12]),
            "set_times": (1, path, lambda t: t.set_times(path, offset, 5)[7]),
            "set_attribute": (
                2,
                path,
                lambda t: t.set_attribute(path, f"user.{kind}", data[:9], create=flag),
            ),
            "remove_attribute": (1, path, lambda t: t.remove_attribute(path, f"user.{kind}")),
            "delete": (3, f"{path}, recursive {flag}", lambda t: t.delete(path, recursive=flag)),
            "rename": (
                5,
                f"{path} to {other}, replace {flag}",
                lambda t: t.rename(path, other, replace=flag).nodes,
            ),
            "rename_prefix": (
                1,
                f"{path[:-1]} to {other[:-1]}",
                lambda t: bool(t.rename_prefix(path[:-1], other[:-1])),
            ),
            "set_mode": (2, f"{path}, {mode:o}", lambda t: t.set_mode(path, mode).mode),
            "set_owner": (1, f"{path}, {agent}", lambda t: t.set_owner(path, agent, agent).owner),
            "share": (2, f"{path}, {agent}, {access}", lambda t: t.share(path, agent, access)),
            "link": (3, f"{path} to {other}, {kind}", lambda t: t.link(path, other, kind, weight)),
            "restore": (3, path, lambda t: _restore(t, path)),
            "restore to": (1, f"{path} to {other}", lambda t: _restore(t, path, other)),
            "set_expiry": (2, f"{path}, {flag}", lambda t: t.set_expiry(path, 1 if flag else None)),
            "unlink": (1, f"{path} to {other}", lambda t: t.unlink(path, other)),
        }

        def _restore(transaction: Transaction, path: str, to: str | None = None) -> object:
            """Restore what was at a path, by its place among what has been deleted there."""
            ids = self.deleted(transaction, path)
            return len(transaction.restore(ids[-1] if ids else 10**9, to).paths)

        name = self.random.choices(list(steps), [row[0] for row in steps.values()])[0]
        return f"{name} {steps[name][1]}", steps[name][2]


def outcome(store: Store, origin: Origin, change: Callable[[Transaction], object], recorder: Check) -> object:
    """What a change returns, or that it failed and how."""
    try:
        with store.transaction(origin, recorder) as transaction:
            return change(transaction)
    except VfsError as error:
        return type(error)


def forget_deleted(dice: Dice, path: str, transaction: Transaction) -> object:
    """Forget what was deleted last at a path."""
    ids = dice.deleted(transaction, path)
    transaction.forget(ids[-1] if ids else 10**9, lambda trashed: None)
    return len(ids)


class StoreModelTests(StoreFixtures):
    """The same changes have the same effects in every store."""

    @pytest.fixture
    def model(self) -> Store:
        """The oracle."""
        return MemoryStore(FOUNDER)

    @pytest.mark.parametrize("seed", range(12))
    def test_random_changes_have_the_effects_that_they_have_in_the_model(
        self, store: Store, model: Store, seed: int
    ) -> None:
        dice = Dice(seed)
        done: list[str] = []
        moments: list[tuple[int, int, object]] = []
        for _ in range(STEPS):
            words, change = dice.step()
            origin = dice.origin()
            done.append(f"{origin.agent}: {words}")
            history = "\n".join(done)
            mine, theirs = Recorder(), Recorder()
            expected, found = outcome(model, origin, change, theirs), outcome(store, origin, change, mine)
            assert same(found, expected), f"{found} instead of {expected} after\n{history}"
            if not isinstance(expected, type) and not words.startswith(("rename", "restore")):
                assert questions(mine) == questions(theirs), f"asked otherwise after\n{history}"
            assert known(store) == known(model), f"after\n{history}"
            assert in_trash(store) == in_trash(model), f"after\n{history}"
            now = tree_at(store, store.head().sequence)
            assert now == tree_at(model, model.head().sequence), f"after\n{history}"
            moments.append((store.head().sequence, model.head().sequence, now))
        for mine_then, theirs_then, tree in moments:
            assert tree_at(store, mine_then) == tree, f"as of {mine_then}, after\n{history}"
            assert tree_at(model, theirs_then) == tree, f"as of {theirs_then} in the model, after\n{history}"
        assert [finding for finding in store.verify() if finding.level == "fail"] == [], "\n".join(done)

    @pytest.mark.parametrize("seed", range(200, 204))
    def test_random_changes_with_forgetting_and_retention(
        self, store: Store, model: Store, seed: int
    ) -> None:
        dice = Dice(seed)
        done: list[str] = []
        for _ in range(STEPS):
            pick = dice.random.random()
            if pick < 0.08:
                path = dice.path()
                done.append(f"forget what was deleted at {path}")
                outcomes = [
                    outcome(each, AKASHI, partial(forget_deleted, dice, path), allow_all)
                    for each in (store, model)
                ]
                assert same(*outcomes), "\n".join(done)
            elif pick < 0.12:
                retention = Retention(
                    dice.random.choice((0, 10**18)),
                    dice.random.choice((0, 2)),
                    dice.random.choice((0, 10**18)),
                )
                done.append(f"purge by {retention}")
                for each in (store, model):
                    after: int | None = 0
                    while after is not None:
                        after = each.purge(AKASHI, retention, 3, after).after
            else:
                words, change = dice.step()
                origin = dice.origin()
                done.append(f"{origin.agent}: {words}")
                assert same(*(outcome(each, origin, change, allow_all) for each in (store, model))), (
                    "\n".join(done)
                )
            assert known(store) == known(model), "\n".join(done)
            assert in_trash(store) == in_trash(model), "\n".join(done)
        assert [finding for finding in store.verify() if finding.level == "fail"] == [], "\n".join(done)
        assert [finding for finding in model.verify() if finding.level == "fail"] == []

    @pytest.mark.parametrize("seed", range(100, 103))
    def test_random_changes_in_one_transaction(self, store: Store, model: Store, seed: int) -> None:
        dice = Dice(seed)
        steps = [dice.step() for _ in range(STEPS)]
        for each in (store, model):
            with each.transaction(AKASHI, allow_all) as transaction:
                for _, change in steps:
                    try:
                        change(transaction)
                    except VfsError:
                        continue
        assert known(store) == known(model), "\n".join(words for words, _ in steps)
        assert [finding for finding in store.verify() if finding.level == "fail"] == []


def same(found: object, expected: object) -> bool:
    """Whether two outcomes are the same. Where two things are wrong at once, either may be said."""
    if isinstance(expected, type) and isinstance(found, type):
        return True
    return found == expected


def questions(recorder: Recorder) -> set[Asked]:
    """What was asked; how often and in which order is not promised."""
    return set(recorder.asked)
