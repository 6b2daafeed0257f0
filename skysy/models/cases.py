"""Cases of a model, read from YAML: rows that are given, rows that are expected.

A file `<model>.yaml` is a list of cases. Only the columns that matter are named; others are NULL in what is given, and not
looked at in what is expected. An input that is not named is empty.

    - name: a night without g has no u-g          # the promise, in words
      parameters: {error_floor_mag: 0.02}         # other values than those of 00_parameters.sql
      given:
        measurements:
          - {object_id: 1, night_mjd: 57000, filter: u, mag_psf: 15.0, e_mag_psf: 0.01}
      expect:
        - {object_id: 1, u_mag: 15.0, ug_mag: null}

`tolerance` is how far a DOUBLE may be off (1e-9), `ordered: true` holds the rows to their order, `key: [column, ...]` says
which rows are the same one in a report (the model's key if not given). In the place of `expect`, `error: text` says that
the model must refuse these rows, with that text in its message. NULL is `null`, NaN is `.nan`, infinity `.inf`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from skysy.errors import ModelError, NotFound, did_you_mean

TOLERANCE = 1e-9
"""How far a DOUBLE may be from what is expected, unless a case says otherwise."""

_FIELDS = {"name", "parameters", "given", "expect", "error", "ordered", "tolerance", "key"}
_AS_BUILT = "Nothing was run. The form of a case stands at the top of skysy/models/cases.py."

Rows = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Case:
    """One promise of one model; `error` is None where rows are expected, and those are () where an error is."""

    file: Path
    model: str
    name: str
    parameters: Mapping[str, Any]
    given: Mapping[str, Rows]
    expect: Rows
    error: str | None
    ordered: bool
    tolerance: float
    key: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are looked at, in the order of the first row expected."""
        return tuple(self.expect[0]) if self.expect else ()

    def wrong(self, what: str, remedy: str = _AS_BUILT) -> ModelError:
        """The error that says where this case does not fit."""
        return ModelError(f"{self.file.name}, case {self.name!r}: {what}", remedy)


def find_cases(directory: Path, models: Iterable[str] = ()) -> list[Case]:
    """The cases of these models, or of all that have a file in the directory, by file name and in their order there.

    Raises NotFound for a directory without files and for a model without one, ModelError for a file of another form.
    """
    files = {path.stem: path for path in sorted(directory.glob("*.yaml"))}
    if not files:
        raise NotFound(f"There are no cases in {directory}.", "Name their directory with --cases DIR.")
    wanted = list(models) or list(files)
    for name in wanted:
        if name not in files:
            raise NotFound(f"{directory} has no {name}.yaml.", did_you_mean(name, files))
    return [case for name in wanted for case in read_cases(files[name])]


def read_cases(path: Path) -> list[Case]:
    """The cases of one file; raises ModelError, with file and case, for what is not of the form above."""
    try:
        listed = yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}", _AS_BUILT) from error
    if not isinstance(listed, list) or not listed:
        raise ModelError(f"{path.name} is not a list of cases.", _AS_BUILT)
    cases = [_case(path, place, spec) for place, spec in enumerate(listed, start=1)]
    names = [case.name for case in cases]
    for case in cases:
        if names.count(case.name) > 1:
            raise case.wrong("two cases have this name.")
    return cases


class _OnceLoader(yaml.SafeLoader):
    """YAML as it is, but a key that stands twice in one row is an error and not the last of the two."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands twice in one mapping", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _case(path: Path, place: int, spec: Any) -> Case:
    where = f"{path.name}, case {place}"
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise ModelError(f"{where} has no name that says what it promises.", _AS_BUILT)
    where = f"{path.name}, case {spec['name']!r}"
    if unknown := set(spec) - _FIELDS:
        name = str(sorted(map(str, unknown))[0])
        raise ModelError(f"{where}: unknown field {name!r}.", did_you_mean(name, _FIELDS))
    if ("expect" in spec) == ("error" in spec):
        raise ModelError(f"{where}: give either rows to expect or an error, [] for no rows.", _AS_BUILT)
    given = spec.get("given") or {}
    if not isinstance(given, dict):
        raise ModelError(f"{where}: given is not a mapping of tables to rows.", _AS_BUILT)
    expect = _rows(f"{where}, expect", spec.get("expect"))
    for number, row in enumerate(expect, start=1):
        if set(row) != set(expect[0]):
            odd = ", ".join(sorted(set(row) ^ set(expect[0])))
            raise ModelError(f"{where}, expect: row {number} differs from the first in its columns: {odd}.", _AS_BUILT)
    return Case(
        file=path,
        model=path.stem,
        name=spec["name"],
        parameters=spec.get("parameters") or {},
        given={str(table): _rows(f"{where}, {table}", rows) for table, rows in given.items()},
        expect=expect,
        error=spec.get("error"),
        ordered=bool(spec.get("ordered", False)),
        tolerance=float(spec.get("tolerance", TOLERANCE)),
        key=tuple(spec.get("key") or ()),
    )


def _rows(where: str, rows: Any) -> Rows:
    if rows is None:
        return ()
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row for row in rows):
        raise ModelError(f"{where}: not a list of rows such as `- {{object_id: 1}}`.", _AS_BUILT)
    return tuple(rows)
