"""The `memory` handler keeps the handler contract, and shows no more than its caller may see anyway."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avm_handlers.memory import MemoryHandler
from vfs_core.config import Config, PermissionRule, ProviderRule
from vfs_core.errors import (
    CrossHandler,
    Denied,
    Exists,
    Invalid,
    IsADirectory,
    NotFound,
    PluginError,
    Unsupported,
)
from vfs_core.handler import BaseHandler, Context
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing import HandlerTests

Open = Callable[..., Kernel]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Open]:
    """Opens a kernel with a handler `memory` at a pattern; all of them share one store."""
    kernels: list[Kernel] = []

    def open_kernel(
        pattern: str = "/team/**", root: object = "/memory/shared/team", access: str = "rw"
    ) -> Kernel:
        rules = (PermissionRule("/**", access),) if access else ()  # type: ignore[arg-type]
        provider = ProviderRule(pattern, "memory", {"root": root}, where="c.yaml:2")
        kernels.append(Kernel(Config(providers=(provider,), permissions=rules), tmp_path / "avm.db"))
        return kernels[-1]

    yield open_kernel
    for kernel in kernels:
        kernel.close()


class TestMemoryHandler(HandlerTests):
    @pytest.fixture
    def session(self, mounted: Open) -> Session:
        session = mounted().session("akashi")
        session.write("/memory/shared/team/dir/here.md", b"teddy\0\xff")
        return session

    @pytest.fixture
    def handler(self) -> BaseHandler:
        return MemoryHandler({"root": "/memory/shared/team"})

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        return "/team/dir/here.md", b"teddy\0\xff"

    @pytest.fixture
    def absent(self) -> str:
        return "/team/dir/absent.md"

    @pytest.fixture
    def make_context(self, session: Session) -> Callable[[str], Context]:
        """As the kernel makes it."""
        routes = session.kernel.routes

        def make(path: str) -> Context:
            matched = routes.match(path) or routes.listing_route(path)
            assert matched is not None
            return Context(session.principal, session, matched.parameters, matched.relative)

        return make


# --- as a second name for a directory -------------------------------------------------------------


def test_both_names_show_the_same_notes(mounted: Open):
    session = mounted().session("akashi")
    session.write("/memory/shared/team/a.md", "x", {"title": "A"})
    node = session.read("/team/a.md")
    assert (node.path, node.text, node.meta) == ("/team/a.md", "x", {"title": "A"})
    assert node.stat == session.stat("/memory/shared/team/a.md") == session.stat("/team/a.md")
    session.write("/team/sub/b.md", "y")
    session.append("/team/sub/b.md", "z")
    assert session.read("/memory/shared/team/sub/b.md").text == "yz"
    assert [(entry.name, entry.is_directory) for entry in session.list("/team")] == [
        ("a.md", False),
        ("sub", True),
    ]
    assert [entry.path for entry in session.list("/team/sub")] == ["/team/sub/b.md"]
    assert [entry.stat for entry in session.list("/team")] == [
        session.stat("/memory/shared/team/a.md"),
        session.stat("/memory/shared/team/sub"),
    ]
    session.rename("/team/sub/b.md", "/team/c.md")
    assert session.read("/memory/shared/team/c.md").text == "yz"
    session.delete("/team/c.md")
    assert not session.exists("/memory/shared/team/c.md")


def test_a_change_under_one_name_is_seen_at_once_under_the_other(mounted: Open):
    session = mounted().session("akashi")
    for number in range(5):
        session.write("/memory/shared/team/a" if number % 2 else "/team/a", str(number))
        assert session.read("/team/a").text == session.read("/memory/shared/team/a").text == str(number)


def test_what_is_found_is_found_under_its_own_name(mounted: Open):
    session = mounted().session("akashi")
    session.write("/team/a", "quokka")
    assert [hit.path for hit in session.search("quokka")] == ["/memory/shared/team/a"]
    assert [found.path for found in session.walk("/") if "team" in found.path] == [
        "/memory/shared/team",
        "/memory/shared/team/a",
    ]


def test_the_whole_store_can_be_shown(mounted: Open):
    session = mounted("/all/**", "/").session("akashi")
    session.write("/memory/a", "x")
    assert session.read("/all/memory/a").text == "x"
    assert [entry.name for entry in session.list("/all")] == ["all", "memory"]
    assert [entry.name for entry in session.list("/all/memory")] == ["a", "private", "shared"]


def test_a_pattern_with_parameters_keeps_them_in_the_path_below_its_prefix(mounted: Open):
    session = mounted("/teams/{team}/notes/*").session("akashi")
    session.write("/memory/shared/team/red/notes/a", "x")
    assert session.read("/teams/red/notes/a").text == "x"


# --- rights --------------------------------------------------------------------------------------


def test_without_a_rule_it_is_read_only(mounted: Open):
    session = mounted(access="").session("akashi")
    session.write("/memory/shared/team/a", "x")
    for attempt in (
        lambda: session.write("/team/a", "y"),
        lambda: session.append("/team/a", "y"),
        lambda: session.delete("/team/a"),
        lambda: session.rename("/team/a", "/team/b"),
    ):
        with pytest.raises(Denied, match="read-only unless a rule says rw"):
            attempt()
    assert session.read("/team/a").text == "x"


def test_no_rule_for_the_second_name_opens_what_the_first_keeps_closed(mounted: Open):
    kernel = mounted("/all/**", "/memory")
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    akashi.write("/private/p", "secret")
    akashi.write("/memory/mine", "x")
    akashi.set_mode("/memory/mine", 0o644)
    for name in ("p", "no"):
        with pytest.raises(NotFound, match=rf"^/all/private/akashi/{name}: not found$"):
            kuro.read(f"/all/private/akashi/{name}")
        assert not kuro.exists(f"/all/private/akashi/{name}")
    assert kuro.list("/all/private") == []
    with pytest.raises(NotFound):
        kuro.list("/all/private/akashi")
    assert kuro.read("/all/mine").text == "x"
    for attempt in (lambda: kuro.write("/all/mine", "y"), lambda: kuro.append("/all/mine", "y")):
        with pytest.raises(Denied):
            attempt()
    for attempt in (
        lambda: kuro.write("/all/private/akashi/p", "y"),
        lambda: kuro.delete("/all/private/akashi/p"),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert akashi.read("/all/private/akashi/p").text == "secret"


def test_a_rule_on_the_first_name_holds_under_the_second(tmp_path: Path):
    rules = (PermissionRule("/memory/frozen/**", "ro"), PermissionRule("/memory/hidden/**", "none"))
    with Kernel(Config(), tmp_path / "avm.db") as before:
        for name in ("frozen", "hidden"):
            before.session("akashi").write(f"/memory/{name}/a", "x")
    config = Config(
        providers=(ProviderRule("/all/**", "memory", {"root": "/memory"}),),
        permissions=(*rules, PermissionRule("/**", "rw")),
    )
    with Kernel(config, tmp_path / "avm.db") as kernel:
        session = kernel.session("akashi")
        with pytest.raises(Denied, match="/memory/frozen"):
            session.write("/all/frozen/a", "y")
        with pytest.raises(NotFound):
            session.read("/all/hidden/a")


def test_an_alias_as_root_is_each_callers_own(mounted: Open):
    kernel = mounted("/mine/**", "/private")
    for agent in ("akashi", "kuro"):
        kernel.session(agent).write("/mine/a", agent)
    assert kernel.session("akashi").read("/mine/a").text == "akashi"
    assert kernel.session("kuro").read("/memory/private/kuro/a").text == "kuro"


# --- errors --------------------------------------------------------------------------------------


def test_errors_are_those_of_the_store(mounted: Open):
    session = mounted().session("akashi")
    session.write("/team/dir/a", "x")
    session.write("/team/b", "x")
    with pytest.raises(IsADirectory):
        session.read("/team/dir")
    with pytest.raises(Exists):
        session.rename("/team/b", "/team/dir/a")
    for move in (("/team/b", "/memory/b"), ("/memory/shared/team/b", "/team/c")):
        with pytest.raises(CrossHandler):
            session.rename(*move)
    for attempt in (
        lambda: session.delete("/team/no"),
        lambda: session.rename("/team/no", "/team/c"),
        lambda: session.list("/team/no"),
        lambda: session.stat("/team/no"),
    ):
        with pytest.raises(NotFound):
            attempt()
    with pytest.raises(Unsupported):
        session.write("/team/b", "y", base_version=1)
    assert session.read("/team/b").text == "x"


def test_a_name_cannot_lead_out_of_the_root(mounted: Open):
    session = mounted().session("akashi")
    session.write("/memory/secret", "x")
    session.write("/team/a", "y")
    for path in ("/team/../memory/shared/secret", "/team/..%2f..%2fsecret", "/team/a/../../../secret"):
        assert not session.exists(path)
    with pytest.raises(CrossHandler):
        session.rename("/team/a", "/team/../memory/b")


@pytest.mark.parametrize("root", [None, "", "memory/shared", 7, ["/memory"]])
def test_a_root_that_is_no_directory_of_the_store_is_refused(root: object):
    with pytest.raises(Invalid, match=r"needs config\.root, a directory of the store such as /memory/shared"):
        MemoryHandler({"root": root})


def test_a_root_that_names_a_parameter_is_refused_and_not_taken_literally(mounted: Open):
    session = mounted("/teams/{team}/*", "/memory/${team}").session("akashi")
    with pytest.raises(Invalid, match=r"names no parameters: '/memory/\$\{team\}'"):
        session.read("/teams/red/a")


def test_a_handler_that_shows_itself_fails_with_an_error(mounted: Open):
    session = mounted("/team/**", "/team").session("akashi")
    with pytest.raises(PluginError, match=r"of c\.yaml:2 is not called: 16 handlers wait for each other"):
        session.read("/team/a")
    session.write("/memory/a", "the rest works")
