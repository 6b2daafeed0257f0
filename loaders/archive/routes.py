"""The routes: which requests bring which tables, counted and cut into pieces before any row moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skysy.loaders.archive.asks import Ask, Part, halved_keys, halves, ids_part
from skysy.loaders.archive.queries import Columns, Limits, columns_of, counts, fill, template
from skysy.loaders.archive.services import Service
from skysy.loaders.archive.tap import Offer, RemoteColumn, Tap, UploadRefused
from skysy.loaders.archive.upload import Positions, ids_table, positions_table
from skysy.loaders.archive.wire import Wire

from skysy.contract import Contract
from skysy.errors import ContractError, NotFound, QueryFailed, TooMuch, UsageError

_TABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "skymapper_dr2": {
        "sample": ("dr2.master", "ext.twomass_psc", "ext.allwise", "ext.gaia_dr2"),
        "images": ("dr2.images",),
        "distances": ("gaiadr2_complements.geometric_distance",),
        "photometry": ("dr2.photometry",),
        "simbad": ("simbad.matches",),
        "mast": ("mast.observation",),
        "products": ("mast.product",),
    },
    "skymapper_dr4": {
        "sample": ("dr4.master", "ext.twomass_psc", "ext.allwise", "ext.gaia_dr3"),
        "images": ("dr4.images",),
        "distances": ("gedr3dist.main",),
        "photometry": ("dr4.photometry",),
        "simbad": ("simbad.matches",),
        "mast": ("mast.observation",),
        "products": ("mast.product",),
    },
}

KEYS = {
    "distances": "source_id", "photometry": "object_id", "images": "image_id", "simbad": "object_id", "mast": "object_id",
    "products": "asked_obsid",
}  # fmt: skip
"""The column by which a route picks rows."""

KEYED = ("distances", "photometry", "simbad", "mast", "products")
"""Routes that ask for ids which the science names; the others ask for a part of the sky or a whole table."""

PLACED = ("simbad", "mast")
"""Routes that ask what lies at positions; each object asked about gets a row, be it one that says that there is nothing."""

_RADII = {"simbad": "archive_simbad_arcsec", "mast": "archive_mast_arcsec"}

_ROWS_PER_KEY = {"distances": 1, "photometry": 60, "simbad": 1, "mast": 200, "products": 100}
"""Rows that one id may bring, for the size of a chunk; what really comes is counted."""

_SYNC_ROWS = 100_000
"""An answer of up to so many rows is asked for at once; a longer one as a job."""


def tables_of(release: str, route: str) -> tuple[str, ...]:
    """The tables that a route of a release brings, in the order in which they are asked for; the objects' before their neighbours'."""
    if release not in _TABLES:
        raise NotFound(f"{release} cannot be asked for at an archive.", "Load its files, with --from DIR.")
    return _TABLES[release][route]


@dataclass(frozen=True)
class Route:
    """One route on one TAP service: how its asks are made, counted and split."""

    name: str
    contract: Contract
    service: Service
    limits: Limits
    there: Mapping[str, list[RemoteColumn]]
    positions: Positions = field(default_factory=dict)

    def radius_arcsec(self) -> float:
        """How far from an object's position a cone or a match reaches."""
        return float(self.limits[_RADII.get(self.name, "archive_cone_arcsec")])

    def upload(self, ask: Ask) -> bytes | None:
        """The table that goes to the service with an ask, None where none does."""
        if not ask.upload:
            return None
        if self.name in PLACED:
            return positions_table(ask.keys, self.positions)
        return ids_table(KEYS[self.name], ask.keys)

    def columns(self, table: str, column_set: int = 0) -> Columns:
        """What of a table is asked for."""
        remote = self.service.table(table).name.lower()
        listed = self.there.get(remote, [])
        if self.there and not listed:
            raise ContractError(
                f"{self.service.title} lists no table {remote}.",
                "Nothing was asked. Give its name there in skysy.toml: [services."
                f'{self.service.key}.tables."{table}"] name = "...".',
            )
        return columns_of(self.contract.table(table), self.service, listed, column_set)

    def ask(
        self, table: str, part: Part, keys: tuple[int, ...] = (), column_set: int = 0, *, upload: bool | None = None
    ) -> Ask:
        """The request for one part of a table, not yet counted; `upload` None does as the service's profile says."""
        if self.service.kind != "tap":
            place = f"within {self.radius_arcsec():g} arcsec of {len(keys)} positions"
            what = f"of {len(keys)} observations" if self.name == "products" else place
            words = f"{self.service.title}: {table} {what}"
            return Ask(self.name, table, self.service.key, self.service.kind, part, words, keys=keys)
        upload = bool(keys) and (self.service.uploads if upload is None else upload)
        column = KEYS.get(self.name, "")
        text = template(self.contract.release, table)
        ids = ""
        if keys:
            listed = ", ".join(map(str, keys))
            ids = "JOIN TAP_UPLOAD.ids AS i ON {column} = i." + column if upload else f"WHERE {{column}} IN ({listed})"

        def query(columns: Columns | None) -> str:
            return fill(
                text, release=self.contract.release, columns=columns, limits=self.limits, part=part,
                remote=self.service.table(table).name, ids=ids,
            )  # fmt: skip

        rows = query(self.columns(table, column_set) if counts(text) else None)
        count = query(None) if counts(text) else "SELECT COUNT(*) AS n\n" + rows[rows.index("FROM ") :]
        return Ask(
            route=self.name, table=table, service=self.service.key, how="async" if self.name == "sample" else "sync",
            part=part, query=rows, count_query=count, keys=keys, upload=upload, column_set=column_set,
        )  # fmt: skip

    def template_of(self, ask: Ask) -> str:
        """What a first ask stands on: its query; of a whole table by ranges of its key, not where they end."""
        return self.ask(ask.table, {**ask.part, "key": [0, 0]}).query if "key" in ask.part else ask.query

    def counted(self, tap: Tap, ask: Ask) -> Ask:
        """The ask with the number of rows that the service counts for it."""
        if not ask.count_query:
            return ask
        upload = self.upload(ask)
        expected = tap.count(ask.count_query, upload)
        if upload is not None and expected == 0:  # is there nothing, or was the upload not read?
            read = tap.count("SELECT COUNT(*) AS n FROM TAP_UPLOAD.ids AS i", upload)
            if read != len(ask.keys):
                raise QueryFailed(
                    f"{self.service.title}: of an uploaded table of {len(ask.keys):,} rows it reads {read:,} "
                    f"({ask.table}, {ask.words}).",
                    f"Nothing was kept. Put uploads = false under [services.{self.service.key}] in skysy.toml, "
                    "or give another service with --service.",
                )
        how = "async" if ask.how == "async" or expected > _SYNC_ROWS else "sync"
        return replace(ask, expected=expected, how=how)

    def split(self, ask: Ask) -> list[Ask]:
        """Smaller asks for the same rows, or the same one with fewer columns; raises TooMuch where there is neither."""
        sets = self.service.table(ask.table).columns
        if ask.column_set + 1 < len(sets) and not halves(ask):
            return [self.ask(ask.table, ask.part, ask.keys, ask.column_set + 1, upload=ask.upload)]
        parts = halves(ask)
        if not parts:
            raise TooMuch(
                f"{self.service.title}: {ask.table}, {ask.words}: the service does not give these rows, "
                "and the part is too small to be split.",
                "What was committed stays. Another service may: --service or skysy.toml.",
            )
        keys = halved_keys(ask) if ask.keys else [()] * len(parts)
        return [
            self.ask(ask.table, part, some, ask.column_set, upload=ask.upload)
            for part, some in zip(parts, keys, strict=True)
        ]

    def one_by_one(self, ask: Ask) -> list[Ask]:
        """An ask for each of the keys."""
        return [self.ask(ask.table, ids_part((key,)), (key,)) for key in ask.keys]

    def without_upload(self, ask: Ask) -> list[Ask]:
        """The same rows asked with the ids in the query, for a service that does not take the upload."""
        size = self.service.in_list
        return [
            self.ask(ask.table, ids_part(some), some, ask.column_set, upload=False)
            for some in (ask.keys[start : start + size] for start in range(0, len(ask.keys), size))
        ]

    def fewer_columns(self, ask: Ask) -> Ask | None:
        """The same ask with the next set of columns that the service's profile names, None at the last."""
        if ask.column_set + 1 >= len(self.service.table(ask.table).columns):
            return None
        return self.ask(ask.table, ask.part, ask.keys, ask.column_set + 1, upload=ask.upload)

    def cut(self, tap: Tap, ask: Ask) -> Iterator[Ask]:
        """The ask counted, or its pieces where it is more than the service gives at once."""
        waiting = [ask]
        while waiting:
            one = waiting.pop(0)
            try:
                counted = self.counted(tap, one)
            except TooMuch:
                waiting[:0] = self.split(one)
                continue
            except UploadRefused:
                if self.name in PLACED:
                    raise
                waiting[:0] = self.without_upload(one)
                continue
            if counted.expected is not None and counted.expected > self.service.max_rows and halves(one):
                waiting[:0] = self.split(one)
            else:
                yield counted


def open_route(
    name: str, contract: Contract, service: Service, limits: Limits, wire: Wire, positions: Positions | None = None
) -> Route:
    """A route with what its service tells of its tables; a service without TAP_SCHEMA is asked as the contract says."""
    if service.kind != "tap":
        return Route(name, contract, service, limits, {}, positions or {})
    remote = [service.table(table).name for table in tables_of(contract.release, name)]
    tap = Tap(wire)
    try:
        there: Mapping[str, list[RemoteColumn]] = tap.columns(remote)
    except QueryFailed:
        there = {}
    return Route(name, contract, _within(service, _offer(tap)), limits, there, positions or {})


def _offer(tap: Tap) -> Offer:
    try:
        return tap.offer()
    except QueryFailed:
        return Offer()


def _within(service: Service, offer: Offer) -> Service:
    """The service with the bounds of its capabilities where they are lower; its own last row would look like a cut."""
    rows = service.max_rows if offer.most_rows is None else min(service.max_rows, max(offer.most_rows - 1, 1))
    upload = service.upload_rows if offer.upload_rows is None else min(service.upload_rows, max(offer.upload_rows, 1))
    return replace(service, max_rows=rows, upload_rows=upload)


def first_asks(route: Route, tap: Tap, keys: Sequence[int] = ()) -> Iterator[Ask]:
    """The route's asks before they are counted: the footprint, the span of ids, or the keys in pieces."""
    for table in tables_of(route.contract.release, route.name):
        if route.name == "sample":
            for ra in _spans(route.limits):
                yield route.ask(table, {"ra": ra, "dec": _span(route.limits, "dec")})
        elif route.name == "images":
            column = KEYS[route.name]
            remote = route.service.table(table).name
            rows = tap.rows(f"SELECT MIN({column}) AS lowest, MAX({column}) AS highest FROM {remote}")
            if len(rows) != 1 or set(rows[0]) != {"lowest", "highest"}:
                raise QueryFailed(f"{route.service.title} does not tell the first and last {column} of {remote}.")
            if rows[0]["lowest"] is not None:
                span = [int(rows[0]["lowest"]), int(rows[0]["highest"]) + 1]
                yield route.ask(table, {"column": column, "key": span})
        else:
            for some in _pieces(route, keys):
                yield route.ask(table, ids_part(some), some)


def _pieces(route: Route, keys: Sequence[int]) -> Iterator[tuple[int, ...]]:
    ordered = sorted(set(keys))
    size = route.service.upload_rows if route.service.uploads else route.service.in_list
    if route.name in PLACED and route.service.kind != "mast" and not route.service.uploads:
        raise QueryFailed(f"{route.service.title} takes no uploads, and {route.name} is asked by uploaded positions.")
    size = max(min(size, route.service.max_rows // _ROWS_PER_KEY[route.name]), 1)
    for start in range(0, len(ordered), size):
        yield tuple(ordered[start : start + size])


def _span(limits: Limits, axis: str) -> list[float]:
    name = f"archive_{axis}_deg"
    try:
        low, high = (float(text) for text in limits[name].strip("[] ").split(","))
    except ValueError as error:
        raise UsageError(f"{name} is {limits[name]}, not two numbers.", f"Write it as --set {name}=[10,20].") from error
    lowest, highest = (0.0, 360.0) if axis == "ra" else (-90.0, 90.0)
    if not (lowest <= low <= highest and lowest <= high <= highest) or low == high or (axis == "dec" and low > high):
        raise UsageError(
            f"{name} is {limits[name]}: no part of the sky, which goes from {lowest:g} to {highest:g} deg."
        )
    return [low, high]


def _spans(limits: Limits) -> list[list[float]]:
    """The right ascensions that are asked for; from 350 up to 10 are those on both sides of 0."""
    west, east = _span(limits, "ra")
    return [[west, east]] if west < east else [[west, 360.0], [0.0, east]][: 2 if east > 0 else 1]
