"""A user's own project: a directory with a skysy.toml, parameters of their own and models that are built with ours."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from skysy.errors import UsageError, did_you_mean

CONFIG = "skysy.toml"
PARAMETERS = "00_parameters.sql"
MODELS = "models"
EXAMPLE = "dwarf_flares.sql"

_KNOWN = ("models", "parameters")


@dataclass(frozen=True)
class Own:
    """Where a user's own models and parameters are; None where there are none."""

    models: Path | None = None
    parameters: Path | None = None


def read_config(path: Path) -> dict[str, Any]:
    """What a skysy.toml says, section by section; raises UsageError where it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration {path} is not TOML: {error}.") from error


def find_own(config: Path | None = None) -> Own:
    """What the section `project` of a skysy.toml names, paths as seen from that file; ./skysy.toml if none is given.

    Raises UsageError for a file that cannot be read, a word that is not known, or a path that is not there.
    """
    path = config or Path(CONFIG)
    if config is None and not path.is_file():
        return Own()
    section = read_config(path).get("project", {})
    if not isinstance(section, dict):
        raise UsageError(f"{path}: project is a section, as [project].")
    found: dict[str, Path] = {}
    for word, value in section.items():
        if word not in _KNOWN:
            raise UsageError(f"{path}: unknown word {word!r} in [project].", did_you_mean(word, _KNOWN))
        place = path.parent / str(value)
        if not place.exists():
            raise UsageError(f"{path}: {word} names {place}, which is not there.")
        found[word] = place
    return Own(found.get("models"), found.get("parameters"))


def make_own(directory: Path, *, example: bool) -> list[Path]:
    """Write a new project: configuration, parameters, a folder for models; returns the files, in order.

    Nothing that is there is changed: raises UsageError where one of the files is there already or cannot be written.
    """
    template = files("skysy") / "template"
    wanted = {directory / name: template / name for name in (CONFIG, PARAMETERS)}
    if example:
        wanted[directory / MODELS / EXAMPLE] = template / MODELS / EXAMPLE
    for path in wanted:
        if path.exists():
            raise UsageError(f"{path} is there already.", "Nothing was written. Name another directory.")
    try:
        (directory / MODELS / "audits").mkdir(parents=True, exist_ok=True)
        for path, source in wanted.items():
            path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}.", "Name another directory.") from error
    return list(wanted)
