"""What the page tells of a built warehouse, read from its published tables and its ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from skysy.analysis.figures import require_build

from skysy.columns import from_comment
from skysy.store import Warehouse

NOT_LOADED = "not in the catalogue"
"""What known_recovery says of an object that was never loaded."""

MOST_FILES = 500
"""Files that the page lists; meta.chunk has them all."""

_MEASUREMENT_CUTS = {
    "object_known": "the detection belongs to an object",
    "clip_considered": "the survey weighed it for the mean, kept or clipped",
    "mag_finite": "it has a magnitude",
    "mag_range": "the magnitude is possible",
    "error_finite": "it has an error",
    "error_range": "the error is possible",
    "flags": "no serious source flag",
    "nimaflags": "few flagged pixels",
    "image_known": "its exposure is in the table of images",
    "image_type": "the exposure is of a survey that counts",
    "night_known": "the exposure has a night",
    "one_per_image": "one detection per object and exposure",
}


if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Row = TypeVar("_Row", bound="DataclassInstance")


@dataclass(frozen=True)
class Headline:
    """The four numbers that the page begins with, and how the last one comes about."""

    objects: int
    in_sample: int
    with_colours: int
    candidates: int
    by_colour: int
    by_variability: int
    by_both: int
    known: int


@dataclass(frozen=True)
class Cut:
    """One step of a flow; `known_lost` is None where nobody is followed, `lost_names` those that end here.

    `n_fail` and `n_null` are None where the release cannot make the cut.
    """

    step: int
    name: str
    sentence: str
    n_in: int
    n_pass: int
    n_fail: int | None
    n_null: int | None
    known_lost: int | None = None
    lost_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A row of the table of candidates; magnitudes, and degrees of position."""

    rank: int
    object_id: int
    raj2000: float | None
    dej2000: float | None
    j_m: float | None
    abs_j_mag: float | None
    jk0_mag: float | None
    ug_mag: float | None
    uv_mag: float | None
    ln_density: float | None
    rapid_u_sigma: float | None
    p_scatter: float | None
    criteria: str
    reason: str
    cautions: str
    known_name: str | None
    known_type: str | None
    simbad_state: str
    main_id: str | None
    main_type: str | None

    @property
    def name(self) -> str | None:
        """What astronomers call it: as the list of known objects has it, else as SIMBAD does."""
        return self.known_name or self.main_id

    @property
    def kind(self) -> str | None:
        """Its type there."""
        return self.known_type if self.known_name else self.main_type

    @property
    def reasons(self) -> list[str]:
        """The reason, a part for each criterion."""
        return self.reason.split("; ")

    @property
    def caution_parts(self) -> list[str]:
        """The cautions one by one; none where there is none."""
        return [part for part in self.cautions.split("; ") if part]


@dataclass(frozen=True)
class FalseAlarms:
    """How many sample objects reach a limit of rapid variability, and how many would if nothing varied."""

    reaches: str
    n_objects: int
    n_found: int
    n_expected: float


@dataclass(frozen=True)
class Known:
    """What became of a known object: its rank, or the step at which it was lost."""

    object_id: int
    name: str | None
    object_type: str | None
    rank: int | None
    lost_at: str | None
    is_value_missing: bool | None
    ln_density: float | None
    rapid_u_sigma: float | None


@dataclass(frozen=True)
class Audit:
    """A promise that was checked, and what breaks it; `sample` holds a few of those rows."""

    name: str
    severity: str
    description: str
    offenders: int
    sample: list[dict[str, Any]]


@dataclass(frozen=True)
class Built:
    """Which release, run and versions the tables come from."""

    release: str
    run_id: int
    built_at: datetime
    versions: dict[str, str]
    models: list[dict[str, Any]]
    parameters: list[dict[str, Any]]
    tables: list[dict[str, Any]]
    files: list[dict[str, Any]]
    n_files: int


@dataclass(frozen=True)
class Facts:
    """All of it."""

    headline: Headline
    cuts: list[Cut]
    measurement_cuts: list[Cut]
    candidates: list[Candidate]
    false_alarms: list[FalseAlarms]
    known: list[Known]
    audits: list[Audit]
    built: Built
    warnings: list[Audit] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "warnings", [audit for audit in self.audits if audit.offenders])

    @property
    def rapid_filter(self) -> str:
        """The filter whose exposures make the rapid sigma."""
        found = {one["name"]: str(one["value"]).strip("'") for one in self.built.parameters}
        return found.get("rapid_filter", "u")

    @property
    def known_in_catalogue(self) -> int:
        """Known objects that the catalogue as loaded holds."""
        return sum(one.lost_at != NOT_LOADED for one in self.known)


def read_facts(warehouse: Warehouse) -> Facts:
    """The facts of a warehouse; raises ModelError where its tables have not been built."""
    require_build(warehouse)
    known = _read(warehouse, Known, "known_recovery ORDER BY rank IS NULL, rank, lost_at, name, object_id")
    lost: dict[str, list[str]] = {}
    for one in known:
        if one.lost_at is not None:
            lost.setdefault(one.lost_at, []).append(one.name or "unnamed")
    return Facts(
        headline=_headline(warehouse),
        cuts=_flow(warehouse, "cut_flow", _sentences(warehouse), lost),
        measurement_cuts=_flow(warehouse, "measurement_flow", _MEASUREMENT_CUTS, {}),
        candidates=_read(warehouse, Candidate, "candidates ORDER BY rank"),
        false_alarms=_read(warehouse, FalseAlarms, "false_alarms ORDER BY step"),
        known=known,
        audits=_audits(warehouse),
        built=_built(warehouse),
    )


def _dictionaries(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    found = warehouse.con.execute(query)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _headline(warehouse: Warehouse) -> Headline:
    criteria = dict(warehouse.rows("SELECT criteria, count(*) FROM candidates GROUP BY criteria"))
    return Headline(
        objects=int(warehouse.value("SELECT coalesce(max(n_in), 0) FROM cut_flow")),
        in_sample=int(warehouse.value("SELECT count(*) FROM sample")),
        with_colours=int(warehouse.value("SELECT count(*) FROM density_score")),
        candidates=sum(criteria.values()),
        by_colour=criteria.get("colour", 0),
        by_variability=criteria.get("variability", 0),
        by_both=criteria.get("colour+variability", 0),
        known=int(warehouse.value("SELECT count(known_name) FROM candidates")),
    )


def _sentences(warehouse: Warehouse) -> dict[str, str]:
    """What each cut asks, from the comments on int_selection__cuts."""
    rows = warehouse.rows(
        "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = 'main' AND table_name = 'int_selection__cuts'"
    )
    return {name: from_comment(comment)[0] for name, comment in rows} | {
        "colour_snapshot": "a night with u and g, and one with u and v"
    }


def _flow(warehouse: Warehouse, table: str, sentences: dict[str, str], lost: dict[str, list[str]]) -> list[Cut]:
    columns = warehouse.columns("main", table)
    if not columns:
        return []
    known = "known_in - known_pass" if "known_in" in columns else "NULL"
    rows = warehouse.rows(f"SELECT step, cut, n_in, n_pass, n_fail, n_null, {known} FROM {table} ORDER BY step")
    return [
        Cut(step, cut, sentences.get(cut, ""), n_in, n_pass, n_fail, n_null, known_lost, tuple(lost.get(cut, ())))
        for step, cut, n_in, n_pass, n_fail, n_null, known_lost in rows
    ]


def _read(warehouse: Warehouse, row: type[_Row], rest: str) -> list[_Row]:
    """The rows of a table as objects whose fields are its columns of these names."""
    names = ", ".join(one.name for one in fields(row))
    return [row(*values) for values in warehouse.rows(f"SELECT {names} FROM {rest}")]


def _audits(warehouse: Warehouse) -> list[Audit]:
    rows = warehouse.rows(
        "SELECT audit, severity, description, offenders, sample FROM meta.audit ORDER BY offenders = 0, severity, audit"
    )
    return [
        Audit(name, severity, description, offenders, json.loads(sample or "[]"))
        for name, severity, description, offenders, sample in rows
    ]


def _built(warehouse: Warehouse) -> Built:
    release, run_id, built_at, versions = warehouse.rows(
        "SELECT release, run_id, built_at, versions FROM meta.model ORDER BY built_at DESC, model LIMIT 1"
    )[0]
    return Built(
        release=release,
        run_id=run_id,
        built_at=built_at,
        versions=json.loads(versions or "{}"),
        models=_dictionaries(
            warehouse,
            "SELECT model, kind, rows, seconds, content_hash, sql_sha256, run_id FROM meta.model ORDER BY model",
        ),
        parameters=_dictionaries(
            warehouse, "SELECT name, value, unit, description, origin FROM meta.parameter ORDER BY name"
        ),
        tables=_dictionaries(
            warehouse,
            "SELECT table_name, count(*) AS files, sum(received_rows) AS rows, sum(bytes) AS bytes FROM meta.chunk "
            "WHERE state = 'loaded' GROUP BY table_name ORDER BY table_name",
        ),
        files=_dictionaries(
            warehouse,
            "SELECT table_name, source, format, received_rows AS rows, bytes, sha256 FROM meta.chunk "
            f"WHERE state = 'loaded' ORDER BY table_name, source, chunk_id LIMIT {MOST_FILES}",
        ),
        n_files=int(warehouse.value("SELECT count(*) FROM meta.chunk WHERE state = 'loaded'")),
    )
