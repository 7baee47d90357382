"""The group behind `avm`: finds commands when they are used, and puts the global options on each.

The help is made of `CommandSpec`s and imports no command. Global options are accepted before and after the
command, so `avm -a bob write x` and `avm write x -a bob` are the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import click

from avm_builtin.frontends.cli.catalogue import CARE, EVERYDAY, EXCHANGE, NOTES, OWN
from avm_builtin.frontends.cli.output import printable
from avm_builtin.frontends.cli.params import AgentName
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import PluginError
from vfs_core.specs import CommandSpec

_HEADINGS = (EVERYDAY, NOTES, EXCHANGE, CARE)


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        app = ctx.find_object(App)
        if value == "" and not ctx.resilient_parsing:
            raise click.BadParameter("it is empty; leave it out for the default", ctx, param)
        if value and app is not None:
            setattr(app, name, value)

    return callback


def global_options() -> list[click.Option]:
    """The options that every command has."""

    def option(attribute: str, *names: str, **settings: Any) -> click.Option:
        callback = _set(attribute)
        return click.Option([*names, f"avm_{attribute}"], expose_value=False, callback=callback, **settings)

    return [
        option("agent", "-a", "--agent", "--user", metavar="NAME", type=AgentName(), help="Who to be."),
        option("db", "--db", metavar="FILE", type=click.Path(), help="The store."),
        option("config", "--config", metavar="FILE", type=click.Path(), help="The configuration."),
        option("as_json", "--json", is_flag=True, help="Print data as JSON."),
    ]


def add_global_options(command: click.Command) -> None:
    """Put the global options on a command and on its subcommands; its own options win."""
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for option in global_options():
        if option.opts[-1] in taken or option.name in {param.name for param in command.params}:
            continue
        option.opts = [name for name in option.opts if name not in taken]
        command.params.append(option)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            add_global_options(child)


class AvmGroup(click.Group):
    """The commands of all plugins, found by name and imported when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, as the help orders them."""
        return list(_registry_commands(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, with the global options on it. Raises PluginError if it cannot be used."""
        app = _app(ctx)
        own = OWN.get(cmd_name)
        if own is not None and not app.is_configured:
            command = _import(own)  # what only a configuration can override needs no look at the plugins
        elif cmd_name in app.registry.commands():
            command = app.registry.load("command", cmd_name)
        else:
            return None
        if not isinstance(command, click.Command):
            raise PluginError(f"the command {cmd_name!r} cannot be used: {command!r} is not a click.Command")
        add_global_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with what is near, and with what failed."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            ctx.fail(_unknown(ctx, name))
        return name if command else None, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings, then the plugins that failed."""
        sections: dict[str, list[CommandSpec]] = {heading: [] for heading in _HEADINGS}
        for spec in _registry_commands(ctx).values():
            sections.setdefault(spec.section, []).append(spec)
        for heading, specs in sections.items():
            if specs:
                with formatter.section(printable(heading)):
                    formatter.write_dl([(printable(spec.name), printable(spec.summary)) for spec in specs])
        failures = _app(ctx).registry.failures()
        if failures:
            with formatter.section("Plugins that failed"):
                formatter.write_dl([(printable(each.name), printable(each.failure)) for each in failures])


def _app(ctx: click.Context) -> App:
    return ctx.ensure_object(App)


def _import(spec: CommandSpec) -> object:
    module, _, attribute = str(spec.target).partition(":")
    return getattr(importlib.import_module(module), attribute)


def _registry_commands(ctx: click.Context) -> dict[str, CommandSpec]:
    return _app(ctx).registry.commands()


def _unknown(ctx: click.Context, name: str) -> str:
    import difflib

    message = f"There is no command {printable(name)!r}."
    near = difflib.get_close_matches(name, _registry_commands(ctx), n=3)
    if near:
        message += f" Did you mean {_alternatives(near)}?"
    failures = _app(ctx).registry.failures()
    if failures:
        message += " Plugins that failed: " + "; ".join(f"{each.name}: {each.failure}" for each in failures)
    return message


def _alternatives(names: Iterable[str]) -> str:
    return " or ".join(names)
