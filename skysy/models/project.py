"""The science of one release as a whole: models in the order they are built, audits and parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path

from skysy.errors import ModelError, NotFound, did_you_mean
from skysy.models.files import Audit, Model, read_audit, read_model
from skysy.models.parameters import Parameter, extended, override, parse_settings, read_parameters
from skysy.models.scope import check_scope
from skysy.own import Own

PARAMETER_FILE = "00_parameters.sql"
STAGING = "10_staging"


@dataclass(frozen=True)
class Project:
    """Models (inputs before what reads them), audits and parameters of a release.

    `own` names the models of the user's own project; None where there is no such project.
    """

    release: str
    models: tuple[Model, ...]
    audits: tuple[Audit, ...]
    parameters: Mapping[str, Parameter]
    own: frozenset[str] | None = None

    @property
    def archive_tables(self) -> tuple[str, ...]:
        """Every archive table that a model reads, sorted."""
        return tuple(sorted({name for model in self.models for name in model.archive_inputs}))

    def model(self, name: str) -> Model:
        """The model of that name; raises NotFound with the nearest one."""
        for model in self.models:
            if model.name == name:
                return model
        raise NotFound(f"There is no model {name}.", did_you_mean(name, (model.name for model in self.models)))


def load_project(
    release: str,
    sql_directory: Path | None = None,
    *,
    own: Own | None = None,
    parameters_file: Path | None = None,
    settings: Iterable[str] = (),
    only: Collection[str] = (),
) -> Project:
    """Read sql/ for a release; `settings` are `name=value` words that override every file.

    With `only` the project is these models and what they read, without audits: a question about one star need not wait
    until all the SQL is parsed. `own` adds a user's models, audits and parameters.

    Raises NotFound for an unknown release or parameter, SqlError for SQL that does not parse, ModelError for
    a header that is not true, an input that does not exist, a cycle or two models of one name, UsageError for
    a value that does not fit.
    """
    root = sql_directory or Path(str(files("skysy.sql")))
    own = own or Own()
    own_paths = sorted(own.models.glob("*.sql")) if own.models else []
    paths = [*_model_files(root, release), *own_paths]
    models = _with_inputs(paths, only) if only else [read_model(path) for path in paths]
    directories = [] if only else [root / "audits", root / "audits" / release]
    if own.models and not only:
        directories.append(own.models / "audits")
    audits = [read_audit(path) for directory in directories for path in sorted(directory.glob("*.sql"))]
    parameters = default_parameters(release, own, root)
    if parameters_file is not None:
        parameters = override(parameters, read_parameters(parameters_file, str(parameters_file)).values())
    parameters = override(parameters, parse_settings(settings, parameters))
    ordered = _ordered(models)
    _check(ordered, audits, parameters)
    if not only:
        items: list[Model | Audit] = [*ordered, *audits]
        for item in items:
            check_scope(item)
    own_names = frozenset(path.stem for path in own_paths) if own.models else None
    return Project(release, tuple(ordered), tuple(audits), parameters, own_names)


def default_parameters(
    release: str | None = None, own: Own | None = None, sql_directory: Path | None = None
) -> dict[str, Parameter]:
    """The parameters of sql/ by name, those of a release and of a user's project in their place or beside them.

    Raises ModelError, NotFound or UsageError for a line that is no parameter or does not fit.
    """
    root = sql_directory or Path(str(files("skysy.sql")))
    defaults = root / PARAMETER_FILE
    parameters = read_parameters(defaults, f"sql/{PARAMETER_FILE}") if defaults.exists() else {}
    for parameter in parameters.values():
        if not parameter.description:
            raise ModelError(f"{parameter.origin}: {parameter.name} has no comment that says what it does.")
    of_release = root / STAGING / release / PARAMETER_FILE if release else None
    if of_release is not None and of_release.exists():
        origin = f"sql/{of_release.relative_to(root)}"
        parameters = override(parameters, read_parameters(of_release, origin).values(), ModelError)
    if own is not None and own.parameters is not None:
        parameters = extended(parameters, read_parameters(own.parameters, str(own.parameters)).values())
    return parameters


def sql_of(release: str, name: str) -> str:
    """The SQL of a model as it stands in its file, not parsed; raises NotFound for an unknown one."""
    found = {path.stem: path for path in _model_files(Path(str(files("skysy.sql"))), release)}
    if name not in found:
        raise NotFound(f"There is no model {name}.", did_you_mean(name, found))
    return found[name].read_text(encoding="utf-8")


def _model_files(root: Path, release: str) -> list[Path]:
    """Every model's file, by folder and name; staging is the release's own, and what it does not have that of all releases."""
    staging = root / STAGING / release
    if not staging.is_dir():
        known = sorted(entry.name for entry in (root / STAGING).glob("*") if entry.is_dir())
        raise NotFound(f"There is no release {release!r}.", did_you_mean(release, known))
    staged = {path.name: path for directory in (staging.parent, staging) for path in directory.glob("*.sql")}
    staged.pop(PARAMETER_FILE, None)
    later = [path for name in ("20_intermediate", "30_marts") for path in sorted((root / name).glob("*.sql"))]
    return [*(staged[name] for name in sorted(staged)), *later]


def _with_inputs(paths: Sequence[Path], names: Iterable[str]) -> list[Model]:
    """The models of these names and all that they read, in the order of their files."""
    files_of = {path.stem: path for path in paths}
    found: dict[str, Model] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in files_of:
            raise NotFound(f"There is no model {name}.", did_you_mean(name, files_of))
        if name not in found:
            found[name] = read_model(files_of[name])
            waiting += found[name].model_inputs
    return [found[name] for name in files_of if name in found]


def _ordered(models: list[Model]) -> list[Model]:
    """Inputs first, otherwise by folder and name; names are unique, inputs exist, nothing reads itself."""
    by_name: dict[str, Model] = {}
    for model in models:
        if model.name in by_name:
            raise ModelError(f"Two files are named {model.name}: {by_name[model.name].path} and {model.path}.")
        by_name[model.name] = model
    for model in models:
        for name in model.model_inputs:
            if name not in by_name:
                raise ModelError(f"{model.path.name} reads {name}, which is no model.", did_you_mean(name, by_name))
    place = {model.name: index for index, model in enumerate(models)}
    sorter = TopologicalSorter({model.name: model.model_inputs for model in models})
    try:
        sorter.prepare()
    except CycleError as error:
        raise ModelError(
            f"These models read each other in a circle: {' -> '.join(reversed(error.args[1]))}."
        ) from error
    ordered: list[Model] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        ordered += [by_name[name] for name in ready]
        sorter.done(*ready)
    return ordered


def _check(models: list[Model], audits: list[Audit], parameters: Mapping[str, Parameter]) -> None:
    """What can be seen only when all files are there: parameters that exist, audits that fit, scopes."""
    known = {model.name for model in models} | {name for model in models for name in model.archive_inputs}
    names: set[str] = set()
    for audit in audits:
        if audit.name in names or audit.name in known:
            raise ModelError(f"The name {audit.name} is taken twice.")
        names.add(audit.name)
        for name in audit.inputs:
            if name not in known:
                raise ModelError(f"{audit.path.name} reads {name}, which is not of this release.")
    items: list[Model | Audit] = [*models, *audits]
    for item in items:
        for name in item.parameters:
            if name not in parameters:
                raise ModelError(
                    f"{item.path.name} reads the parameter {name}, which is not set.",
                    did_you_mean(name, parameters),
                )
