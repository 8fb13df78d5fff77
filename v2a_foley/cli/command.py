"""How a plain function becomes a command: groups of options, errors and exit codes."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_type_hints

import typer

from v2a_foley.cli import console
from v2a_foley.errors import FoleyError

INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it
_DEBUG = inspect.Parameter(
    "debug",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option("--debug", help="Show where an error arose.", rich_help_panel="Messages"),
    ],
)


@dataclass(frozen=True, slots=True)
class Group:
    """Options that make one argument together: ``build`` takes their values by name."""

    options: tuple[inspect.Parameter, ...]
    build: Callable[..., Any]


def option(name: str, annotation: object, default: object) -> inspect.Parameter:
    """One option of a group; ``annotation`` is a type annotated with ``typer.Option``."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def register(app: typer.Typer, function: Callable[..., None], name: str) -> None:
    """Make ``function`` the command ``name`` of ``app``.

    An argument whose type is a dataclass, or is annotated with a `Group`, stands for one option
    a field. Every command has ``--debug``, ends with the exit codes that the README states, and
    shows no traceback unless asked to.
    """
    groups: dict[str, Group] = {}
    options: list[inspect.Parameter] = []
    hints = get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        group = _group(hint)
        if group is None:
            options.append(option(parameter.name, hint, parameter.default))
        else:
            groups[parameter.name] = group
            options += group.options

    def call(*, debug: bool, **values: Any) -> None:
        with exits(debug or values.get("verbose", 0) > 1):
            for argument, group in groups.items():
                own = {each.name: values.pop(each.name) for each in group.options}
                values[argument] = group.build(**own)
            function(**values)

    call.__signature__ = inspect.Signature([*options, _DEBUG])  # type: ignore[attr-defined]
    call.__doc__ = function.__doc__
    app.command(name)(call)


def _group(hint: Any) -> Group | None:
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint, include_extras=True)
        options = (_field_option(each, hints[each.name]) for each in fields(hint))
        return Group(tuple(options), hint)
    return next((each for each in get_args(hint) if isinstance(each, Group)), None)


def _field_option(field: Field[Any], hint: object) -> inspect.Parameter:
    required = field.default is MISSING
    return option(field.name, hint, inspect.Parameter.empty if required else field.default)


@contextmanager
def exits(debug: bool) -> Iterator[None]:
    """Turn whatever goes wrong inside into a line on stderr and an exit code."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        console.error("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as problem:
        if debug:
            console.say(traceback.format_exc())
        known = isinstance(problem, FoleyError)
        console.error(str(problem) if known else _unexpected(problem, debug))
        raise typer.Exit(problem.exit_code if isinstance(problem, FoleyError) else 1) from None


def _unexpected(problem: Exception, debug: bool) -> str:
    words = str(problem).strip().partition("\n")[0]
    hint = "" if debug else " (run it again with --debug to see where)"
    return f"unexpected {type(problem).__name__}: {words}{hint}"
