"""The services that archives are asked through: profiles of services.toml, with what the user's skysy.toml changes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from skysy.errors import NotFound, UsageError, did_you_mean
from skysy.own import CONFIG, read_config

USUAL = ("sample", "images", "distances", "photometry", "simbad")
"""What a load asks for where no route is named."""

ROUTES = (*USUAL, "mast", "products")
"""What can be asked for, in the order in which one needs the other; the last two only once there are candidates."""

_KINDS = ("tap", "cone", "xmatch", "mast", "files")
_SPEAKS = {
    "photometry": ("tap", "cone"),
    "simbad": ("tap", "xmatch"),
    "mast": ("mast", "tap"),
    "products": ("mast",),
}
"""Kinds of service that a route can ask, a bare URL being taken for the first; others ask TAP alone."""


@dataclass(frozen=True)
class RemoteTable:
    """What a service calls a table of the contract; `columns` are sets to try in turn, empty for the contract's own."""

    name: str
    columns: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Service:
    """One service: where it is, what it takes and how politely it is asked; the words are those of services.toml."""

    key: str
    title: str
    kind: str
    url: str
    format: str = "votable"
    max_rows: int = 500_000
    uploads: bool = False
    upload_rows: int = 50_000
    in_list: int = 200
    page_rows: int = 50_000
    parallel: int = 2
    pause_s: float = 0.0
    timeout_s: float = 120.0
    job_s: float = 7200.0
    poll_s: float = 2.0
    tries: int = 6
    tables: Mapping[str, RemoteTable] = field(default_factory=dict)

    def table(self, name: str) -> RemoteTable:
        """What this service calls a table of the contract."""
        return self.tables.get(name, RemoteTable(name))


@dataclass(frozen=True)
class Services:
    """All known services, and the one that each route of each release asks."""

    services: Mapping[str, Service]
    routes: Mapping[str, Mapping[str, str]]

    def route(self, release: str, route: str) -> Service:
        """The service that a route asks; raises NotFound for a release without that route."""
        routes = self.routes.get(release)
        if routes is None:
            raise NotFound(
                f"No service is known for the release {release}.",
                f"Known: {', '.join(sorted(self.routes))}. Others are loaded from files, with --from DIR.",
            )
        if route not in routes:
            raise NotFound(f"{release} has no route {route}.", did_you_mean(route, routes))
        return self.services[routes[route]]


def load_services(config: Path | None = None, chosen: Mapping[str, str] | None = None) -> Services:
    """The profiles, with a skysy.toml laid over them, and routes sent elsewhere by `chosen` (route -> service or URL).

    `config` is that file; None takes ./skysy.toml where there is one. Raises UsageError for what does not fit.
    """
    text = files("skysy.loaders").joinpath("archive", "services.toml").read_text(encoding="utf-8")
    known = tomllib.loads(text)
    path = config or Path(CONFIG)
    if config is not None or path.is_file():
        known = _laid_over(known, read_config(path), str(path))
    services = {key: _service(key, spec) for key, spec in known["services"].items()}
    routes = {release: dict(spec) for release, spec in known["routes"].items()}
    for route, target in (chosen or {}).items():
        if route not in ROUTES:
            raise UsageError(f"There is no route {route!r}.", did_you_mean(route, ROUTES))
        key = target
        if "://" in target:
            key = f"{route}@{target}"
            services[key] = _service(key, {"title": target, "kind": _SPEAKS.get(route, ("tap",))[0], "url": target})
        for spec in routes.values():
            spec[route] = key
    for release, spec in routes.items():
        for route, key in spec.items():
            if key not in services:
                raise UsageError(
                    f"Route {route} of {release} asks a service {key!r}, which is not known.",
                    did_you_mean(str(key), services),
                )
            if services[key].kind not in _SPEAKS.get(route, ("tap",)):
                fit = sorted(name for name, one in services.items() if one.kind in _SPEAKS.get(route, ("tap",)))
                raise UsageError(
                    f"Route {route} cannot ask {key}, which is a service of kind {services[key].kind}.",
                    f"Of the known services it can ask {', '.join(fit)}.",
                )
    return Services(services, routes)


def _laid_over(known: dict[str, Any], other: dict[str, Any], where: str) -> dict[str, Any]:
    if unknown := set(other) - {"services", "routes", "project"}:
        raise UsageError(
            f"{where}: unknown section {sorted(unknown)[0]!r}.", "Sections are services, routes and project."
        )
    merged = {"services": dict(known["services"]), "routes": {k: dict(v) for k, v in known["routes"].items()}}
    for key in (services := _section(other, "services", where)):
        spec = _section(services, key, where)
        base = merged["services"].get(key, {"title": key, "kind": "tap"})
        tables = {**base.get("tables", {}), **_section(spec, "tables", f"{where}, service {key}")}
        merged["services"][key] = {**base, **spec, **({"tables": tables} if tables else {})}
    for release in (routes := _section(other, "routes", where)):
        spec = _section(routes, release, where)
        if unknown := set(spec) - set(ROUTES):
            name = sorted(unknown)[0]
            raise UsageError(f"{where}: there is no route {name!r}.", did_you_mean(name, ROUTES))
        merged["routes"].setdefault(release, {}).update(spec)
    return merged


def _service(key: str, spec: Mapping[str, Any]) -> Service:
    kinds = {one.name: one.type for one in fields(Service)}
    for name, value in spec.items():
        if name not in kinds or name == "key":
            raise UsageError(f"Service {key}: unknown setting {name!r}.", did_you_mean(name, set(kinds) - {"key"}))
        wanted = int if kinds[name] == "int" else int | float
        if kinds[name] in ("int", "float") and (isinstance(value, bool) or not isinstance(value, wanted)):
            whole = "whole " if kinds[name] == "int" else ""
            raise UsageError(f"Service {key}: {name} is a {whole}number, not {value!r}.")
        if kinds[name] == "str" and not isinstance(value, str):
            raise UsageError(f"Service {key}: {name} is a text, not {value!r}.")
        if kinds[name] == "bool" and not isinstance(value, bool):
            raise UsageError(f"Service {key}: {name} is true or false, not {value!r}.")
    if "url" not in spec:
        raise UsageError(f"Service {key} has no url.", f'Give it: [services.{key}] url = "...".')
    tables = {name: _remote(key, name, table) for name, table in _section(spec, "tables", f"service {key}").items()}
    made = Service(**{**spec, "key": key, "url": str(spec["url"]).rstrip("/"), "tables": tables})
    if made.kind not in _KINDS:
        raise UsageError(f"Service {key}: kind is {made.kind!r}.", f"Kinds: {', '.join(_KINDS)}.")
    if min(made.max_rows, made.upload_rows, made.in_list, made.page_rows, made.parallel, made.tries) < 1:
        raise UsageError(f"Service {key}: rows, parallel and tries are at least 1.")
    if not (made.pause_s >= 0 and min(made.timeout_s, made.job_s, made.poll_s) > 0):
        raise UsageError(f"Service {key}: pause_s is not below 0, and timeout_s, job_s and poll_s are above it.")
    return made


def _remote(key: str, name: str, spec: object) -> RemoteTable:
    """What a service calls a table, from its section of the profile."""
    known: dict[str, Any] = spec if isinstance(spec, dict) else {"": spec}
    sets = known.get("columns", [])
    texts = isinstance(sets, list) and all(
        isinstance(one, list) and one and all(isinstance(column, str) for column in one) for one in sets
    )
    if set(known) - {"name", "columns"} or not isinstance(known.get("name", name), str) or not texts:
        raise UsageError(
            f"Service {key}: tables.{name!r} is not understood.",
            'It has name = "..." and columns = [["...", "..."], ...], sets to try in turn.',
        )
    return RemoteTable(known.get("name", name), tuple(tuple(columns) for columns in sets))


def _section(spec: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """A section of a file that must be a table of TOML; empty where it is not there."""
    found = spec.get(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{where}: {name} is a section, not {found!r}.")
    return found
