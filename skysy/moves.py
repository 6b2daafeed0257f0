"""Why an object entered or left the candidates between two builds: what sql/diff/moves.sql finds, its cuts looked at, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

from skysy.builds import NOT_AVAILABLE, Behind, Builds
from skysy.columns import from_comment
from skysy.identity import Elsewhere, find_elsewhere
from skysy.models.lineage import CutTerm, column_lineage, cut_terms
from skysy.models.plan import sha256
from skysy.models.project import Project, load_project, sql_of

_CUTS, _MATCHED = "int_selection__cuts", "int_selection__matched"
_UNITS = {"ug_mag": "mag", "uv_mag": "mag"}

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Move:
    """One object that entered or left the candidates, and the one thing that did it.

    `lost_at` is what the build without it lacks: catalogue, cut, sample, colour, variability or candidates; `model` the first
    table of the way in which it differs; `cause` is object, value, limit or rule, or several with "and" where no one of them
    would have done. Values and limits are pairs (A, B) by name; of an object that has another object_id in the other build,
    both ids.
    """

    object_id: int
    change: str
    criteria: str
    lost_at: str
    cut: str | None
    model: str
    cause: str
    values: dict[str, Pair]
    limits: dict[str, Pair]
    behind: tuple[Behind, ...]
    reason: str


def find_moves(builds: Builds) -> list[Move]:
    """Every object that is a candidate in one of the two builds only, those that entered first, then by object_id."""
    found = builds.house.con.execute((files("skysy.sql") / "diff" / "moves.sql").read_text(encoding="utf-8"))
    names = [column[0] for column in found.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    cuts = _Cuts(builds, [row for row in rows if row["lost_at"] == "cut"])
    elsewhere = find_elsewhere(builds) if any(row["lost_at"] == "catalogue" for row in rows) else {}
    moves = []
    for row in rows:
        if row["lost_at"] == "cut":
            moves.append(cuts.move(row))
        elif row["lost_at"] == "catalogue":
            moves.append(_absent(builds, row, elsewhere.get((row["change"], row["object_id"]))))
        else:
            moves.append(_move(builds, row))
    return moves


def _absent(builds: Builds, row: Mapping[str, Any], elsewhere: Elsewhere | None) -> Move:
    """A move of an object that the build without it was not loaded with."""
    entered = row["change"] == "entered"
    without, other = ("A", "B") if entered else ("B", "A")
    reason = f"not in the object catalogue of {without}"
    if builds.asked[not entered]:
        # What the archive cut away by itself was never seen here, so that nobody can tell which cut it was.
        reason = f"not among the objects that {without} asked its archive for, by cuts"
        if only := sorted(builds.not_available[entered] - builds.not_available[not entered]):
            reason += f", {', '.join(only)} among them, not available in {other}"
    values: dict[str, Pair] = {}
    if elsewhere is not None:
        ids = (elsewhere.object_id, row["object_id"])
        values["object_id"] = ids if entered else ids[::-1]
        reason += f"; {elsewhere.object_id} lies {elsewhere.sep_arcsec:.2f} arcsec from its place there"
    return Move(
        row["object_id"], row["change"], row["criteria"], "catalogue", None, row["model"], row["cause"], values, {},
        builds.behind(row["model"]), reason,
    )  # fmt: skip


def _move(builds: Builds, row: Mapping[str, Any]) -> Move:
    """A move that needs no look at a cut: what moves.sql found, with the values that tell it."""
    lost_at, model, cause = row["lost_at"], row["model"], row["cause"]
    values: dict[str, Pair] = {}
    limits: dict[str, Pair] = {}
    if lost_at in ("colour", "variability"):
        score, limit = (
            ("ln_density", "density_ln_max") if lost_at == "colour" else ("rapid_u_sigma", "rapid_u_sigma_min")
        )
        values[score] = row[f"{score}_a"], row[f"{score}_b"]
        limits[limit] = builds.parameter(limit)
        if lost_at == "colour" and model in ("measurements", "colours"):
            values |= {name: (row[f"{name[:2]}_a_mag"], row[f"{name[:2]}_b_mag"]) for name in ("ug_mag", "uv_mag")}
        if model == "measurements":
            kind = "colour" if lost_at == "colour" else "rapid"
            values["detections"] = row[f"n_{kind}_a"], row[f"n_{kind}_b"]
            values["nights"] = row[f"nights_{kind}_a"], row[f"nights_{kind}_b"]
    behind = () if cause == "limit" else builds.behind(model)
    reason = {
        "sample": "passes every cut there, but is not in the sample",
        "candidates": "nothing that makes a candidate was lost, but it is none",
    }.get(lost_at, "")
    if not reason:
        reason = f"{lost_at}: {_terms(builds, values, limits, _UNITS)}"
        if model == "measurements":
            differ = row["n_colour_differ" if lost_at == "colour" else "n_rapid_differ"]
            reason += f"; {differ} detection{'s' if differ != 1 else ''} not the same"
        elif model == "density_score":
            reason += "; the same colours, among others"
        elif model == "colours":
            reason += "; the same detections"
        elif cause == "rule":
            reason += "; neither value nor limit did it"
    return Move(
        row["object_id"], row["change"], row["criteria"], lost_at, None, model, cause, values, limits, behind, reason
    )


@dataclass
class _Cuts:
    """The objects that a cut took or let pass, with the values and limits that the cut is made on."""

    builds: Builds
    rows: Sequence[Mapping[str, Any]]
    found: dict[tuple[str, int], dict[str, Pair]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cut in {row["cut"] for row in self.rows}:
            if cut in self.terms and (columns := self._columns(self.terms[cut])):
                self._read(cut, columns)

    @cached_property
    def project(self) -> Project:
        """The cuts as this skysy has them."""
        return load_project(self.builds.release, only=(_CUTS,))

    @cached_property
    def terms(self) -> dict[str, CutTerm]:
        """What each cut looks at, by name; none where no cut moved an object, for parsing takes its time."""
        return {term.name: term for term in cut_terms(self.project, _CUTS)} if self.rows else {}

    @cached_property
    def is_known(self) -> bool:
        """Whether both builds were made with the cuts as this skysy has them."""
        ours = sha256(sql_of(self.builds.release, _CUTS))
        return all(model[_CUTS].sql == ours for model in self.builds.models)

    @cached_property
    def crossed(self) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
        """The cuts made on the values of A under the limits of B, and the reverse, for these objects."""
        sql = sql_of(self.builds.release, _CUTS)
        ids = ", ".join(str(row["object_id"]) for row in self.rows)
        both = []
        for side, other in (("a", 1), ("b", 0)):
            self.builds.set_parameters(other)
            self.builds.house.run(
                f"CREATE OR REPLACE TEMP VIEW {_MATCHED} AS FROM {side}.main.{_MATCHED} WHERE object_id IN ({ids})"
            )
            answer = self.builds.house.con.execute(sql)
            names = [column[0] for column in answer.description or []]
            both.append({row[0]: dict(zip(names, row, strict=True)) for row in answer.fetchall()})
        return both[0], both[1]

    def move(self, row: Mapping[str, Any]) -> Move:
        """The move of one object by its first cut."""
        cut, object_id = str(row["cut"]), int(row["object_id"])
        term = self.terms.get(cut)
        values = self.found.get((cut, object_id), {})
        limits = {name: self.builds.parameter(name) for name in (term.parameters if term else ())}
        behind: tuple[Behind, ...]
        entered = row["change"] == "entered"
        if cut in self.builds.not_available[entered]:  # the build with the object
            behind = tuple(one for one in self.builds.behind("sample") if one.name == NOT_AVAILABLE)
            told = _terms(self.builds, values, limits, self._units)
            reason = f"cut {cut}: {told}; not available in {'B' if entered else 'A'}"
            return Move(
                object_id,
                row["change"],
                row["criteria"],
                "cut",
                cut,
                row["model"],
                "rule",
                values,
                limits,
                behind,
                reason,
            )
        cause = self._cause(row, values, {name for name in limits if name in self.builds.changed_parameters})
        behind = ()
        if cause != "limit":
            behind = self._behind(term) if "value" in cause else self.builds.behind(_CUTS)
        missing = " (its value is missing)" if row["cut_is_missing"] else ""
        reason = f"cut {cut}{missing}: {_terms(self.builds, values, limits, self._units)}".rstrip(": ")
        return Move(
            object_id, row["change"], row["criteria"], "cut", cut, row["model"], cause, values, limits, behind, reason
        )

    def _cause(self, row: Mapping[str, Any], values: Mapping[str, Pair], limits: set[str]) -> str:
        """What of value, limit and rule did it; where value and limit changed, the cut is made crosswise to tell."""
        differing = [name for name, (a, b) in values.items() if a != b]
        rule = not self.builds.same_sql(_CUTS)
        if differing and limits and not rule and self.is_known:
            of_a, of_b = (one[row["object_id"]].get(row["cut"]) is True for one in self.crossed)
            # The build without the object is A where it entered.
            by_limit, by_value = (of_a, of_b) if row["change"] == "entered" else (of_b, of_a)
            if by_limit != by_value:
                return "limit" if by_limit else "value"
        parts = [word for word, is_so in (("value", differing), ("limit", limits), ("rule", rule)) if is_so]
        return " and ".join(parts) or ("rule" if values else "value")

    def _behind(self, term: CutTerm | None) -> tuple[Behind, ...]:
        """What differs of that which the cut's own values are made from, where their SQL is known; else of all its inputs."""
        every = self.builds.behind(_MATCHED)
        ours = sha256(sql_of(self.builds.release, _MATCHED))
        if term is None or any(models[_MATCHED].sql != ours for models in self.builds.models):
            return every
        own = {one.name: one.parameters for one in self._matched_terms}
        wanted = {name for column in term.columns for name in own.get(column, ())}
        for column in term.columns:
            wanted |= {table for table, _ in column_lineage(self.project, _MATCHED, column, to_archive=True)}
        return tuple(one for one in every if one.kind == "sql" or one.name in wanted)

    @cached_property
    def _matched_terms(self) -> list[CutTerm]:
        return cut_terms(self.project, _MATCHED)

    @cached_property
    def _units(self) -> dict[str, str]:
        comments = self.builds.house.rows(
            "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = 'a' AND schema_name = 'main' AND table_name = ?",
            [_MATCHED],
        )
        return {name: from_comment(comment)[1] or "" for name, comment in comments}

    def _columns(self, term: CutTerm) -> list[str]:
        """The columns that the cut looks at, where both builds have them."""
        there = [self.builds.columns(side, _MATCHED) for side in ("a", "b")]
        return [name for name in term.columns if all(name in one for one in there)]

    def _read(self, cut: str, columns: list[str]) -> None:
        ids = ", ".join(str(row["object_id"]) for row in self.rows if row["cut"] == cut)
        listed = ", ".join(f"x.{name}, y.{name}" for name in columns)
        for object_id, *cells in self.builds.house.rows(
            f"SELECT x.object_id, {listed} FROM a.main.{_MATCHED} AS x JOIN b.main.{_MATCHED} AS y USING (object_id) "
            f"WHERE x.object_id IN ({ids})"
        ):
            self.found[cut, object_id] = {
                name: (cells[2 * place], cells[2 * place + 1]) for place, name in enumerate(columns)
            }


def _terms(
    builds: Builds, values: Mapping[str, Pair], limits: Mapping[str, Pair], value_units: Mapping[str, str]
) -> str:
    told = [_term(name, pair, value_units.get(name, "")) for name, pair in values.items()]
    bound = [_term(name, pair, builds.unit(name)) for name, pair in limits.items()]
    return ", ".join(told) + (f"; limit {', '.join(bound)}" if bound else "")


def _term(name: str, pair: Pair, unit: str) -> str:
    a, b = (_value(one) for one in pair)
    after = f" {unit}" if unit else ""
    return f"{name} {a} -> {b}{after}" if pair[0] != pair[1] else f"{name} = {a}{after}"


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    return f"{value:.7g}" if isinstance(value, float) else str(value)
