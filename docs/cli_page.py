"""docs/cli.md, written from the commands themselves: what `skysy COMMAND --help` says, with exit codes and examples."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from typing import Any

from typer.core import TyperArgument, TyperCommand

from skysy import errors
from skysy.cli.commands import COMMANDS, command

_EXAMPLE = re.compile(r"^Example: (.+)$", re.MULTILINE)
_OTHERS = {0: "done", 1: "unforeseen: the disk, a broken pipe, or what the command says of itself", 130: "interrupted"}
"""What the codes mean that are of no class of errors, or of all."""


def examples(name: str) -> list[str]:
    """The command lines that the help of a command shows."""
    return _EXAMPLE.findall(command(name).help or "")


def page(written: str) -> str:
    """The page; `written` is the comment that says how it is made."""
    parts = [
        "# The commands\n",
        written,
        _prose(
            "What `skysy COMMAND --help` says, on one page; tests/test_examples.py runs every example as it stands. Results go to",
            "standard output, progress and errors to standard error, so that `--json` leaves one JSON document and nothing else.",
            "Colour is left out where `NO_COLOR` is set or the output is no terminal. `--verbose` tells each SQL statement and each",
            "request on standard error as it ends.",
        ),
        _table(
            ("command", "what it is for"), [(f"[`{name}`](#skysy-{name})", one[1]) for name, one in COMMANDS.items()]
        ),
        "## Completion\n",
        _prose(
            "`skysy --install-completion` writes the completion of Bash, zsh, fish or PowerShell into your shell's own files; it",
            "holds from the next shell on. `skysy --show-completion` only prints it. Tab then offers commands and options, and the",
            "values of `--release`, `--route`, `--format`, `--find`, `--only`, the parameters of `--set` with the values that they",
            "have, the models of `skysy test`, the tables of the warehouse, and for `skysy why` the candidates in their order; with a",
            "digit typed, other objects of the sample too. The warehouse is that of `--warehouse`, where it stands before the cursor,",
            "or of `SKYSY_WAREHOUSE`; it is only read, and one that is missing or in use offers nothing.",
        ),
        "## Exit codes\n",
        _table(("code", "what", "errors"), _codes()),
        "Symptoms and remedies: [troubleshooting.md](troubleshooting.md).\n",
    ]
    return "\n".join([*parts, *(_section(name) for name in COMMANDS)])


def _section(name: str) -> str:
    _, short, codes = COMMANDS[name]
    made = command(name)
    words = [" ".join(one.split()) for one in cleandoc((made.help or "").replace("\b\n", "")).split("\n\n")]
    shown = "\n".join(f"    {line}" for line in examples(name))
    every = ", ".join(str(code) for code in sorted({0, 1, 2, *codes, 130}))
    parts = [
        f"## skysy {name}\n",
        f"{short}\n",
        f"    {_usage(name, made)}\n",
        *(_prose(one) for one in words if not one.startswith("Example: ")),
        _table(
            ("argument or option", "default", "environment", "what it is"), [_parameter(one) for one in made.params]
        ),
        f"Exit codes: {every}.\n",
        f"{'Example' if shown.count(chr(10)) == 0 else 'Examples'}:\n\n{shown}\n",
    ]
    return "\n".join(parts)


def _usage(name: str, made: TyperCommand) -> str:
    """The command with what it cannot do without."""
    words = ["skysy", name]
    for one in made.params:
        if isinstance(one, TyperArgument):
            words.append(_metavar(one) if one.required else f"[{_metavar(one)}{'...' if one.nargs == -1 else ''}]")
    words += [_named(one) for one in made.params if not isinstance(one, TyperArgument) and one.required]
    return " ".join([*words, "[OPTIONS]"])


def _parameter(one: Any) -> tuple[str, ...]:
    if isinstance(one.show_default, str):
        default = one.show_default
    elif one.required:
        default = "required"
    elif one.default is None or one.default is False or one.default == ():
        default = ""
    else:
        default = _named(one, one.opts) if one.default is True else f"`{one.default}`"
    named = f"`{_metavar(one)}`" if isinstance(one, TyperArgument) else f"`{_named(one)}`"
    return named, default, f"`{one.envvar}`" if one.envvar else "", one.help or ""


def _metavar(one: Any) -> str:
    return str(one.metavar or one.name.upper())


def _named(one: Any, names: Sequence[str] = ()) -> str:
    """An option by all its names, with what stands behind it."""
    told = ", ".join(names or (*one.opts, *one.secondary_opts))
    return told if one.is_flag else f"{told} {_metavar(one)}"


def _codes() -> Iterator[tuple[str, ...]]:
    """Each exit code, in words and with its classes of skysy.errors."""
    tops = {one.exit_code: one for one in _below(errors.SkysyError) if one.__base__ is errors.SkysyError}
    for code in sorted({*_OTHERS, *tops}):
        if code in tops:
            leaves = ", ".join(f"`{one.__name__}`" for one in (tops[code], *_below(tops[code])))
            yield str(code), (tops[code].__doc__ or "").split("\n")[0], leaves
        else:
            yield str(code), _OTHERS[code], ""


def _below(top: type[errors.SkysyError]) -> Iterator[type[errors.SkysyError]]:
    """The classes of skysy.errors under one, in the order of its tree."""
    for one in vars(errors).values():
        if isinstance(one, type) and one is not top and issubclass(one, top):
            yield one


def _table(head: Sequence[str], rows: Any) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0], "|--" * len(head) + "|", *lines[1:]]) + "\n"


def _prose(*sentences: str) -> str:
    return textwrap.fill(" ".join(sentences), 128, break_long_words=False, break_on_hyphens=False) + "\n"
