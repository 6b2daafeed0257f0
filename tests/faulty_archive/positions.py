"""Questions by position: a survey's cone search and CDS X-Match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from faulty_archive import documents, uploads
from faulty_archive.adql import QueryError
from faulty_archive.catalogue import Answer, Catalogue
from faulty_archive.faults import Fault
from faulty_archive.messages import Reply, Request, xml
from faulty_archive.spoil import spoiled

_PLACES = (("raj2000", "dej2000"), ("ra_img", "decl_img"), ("ra", "decl"), ("ra", "dec"))
_WIDEST_ARCSEC = 180.0
_BRIEF = 5


class Positions:
    """Simple Cone Search 1.03 with SkyMapper's CATALOG, and X-Match against SIMBAD."""

    def __init__(self, archive: Catalogue, simbad: Catalogue | None, most_rows: int) -> None:
        self._archive, self._simbad, self._most_rows = archive, simbad, most_rows

    def owns(self, path: str) -> bool:
        """Whether a path is one of these."""
        return path == "/cone" or (path == "/xmatch" and self._simbad is not None)

    def answer(self, request: Request, faults: Sequence[Fault]) -> Reply:
        """The rows near a position, or near each uploaded one."""
        cone = request.path == "/cone"
        timeout = next((fault for fault in faults if fault.kind == "timeout"), None)
        try:
            answer = self._cone(request) if self._simbad is None or cone else self._xmatch(self._simbad, request)
            if timeout is not None and answer.table.num_rows > timeout.details["rows_over"]:
                raise QueryError(timeout.details["message"])
        except QueryError as error:
            return xml(documents.cone_error(str(error)) if cone else documents.error(str(error)))
        wanted = request.parameters.get("RESPONSEFORMAT", "VOTABLE")
        form = documents.serialization(wanted, "TABLEDATA") or "TABLEDATA"
        return documents.result(spoiled(answer, faults), form)

    def _cone(self, request: Request) -> Answer:
        words = request.parameters
        ra, dec, radius = (_number(words, name) for name in ("RA", "DEC", "SR"))
        name = words.get("CATALOG", "dr2.master")
        held = self._archive.tables.get(name)
        if held is None:
            raise QueryError(f"Field CATALOG: there is no catalogue '{name}'")
        names = {column.name for column in held.columns}
        place = next((pair for pair in _PLACES if names.issuperset(pair)), None)
        if place is None:
            raise QueryError(f"Field CATALOG: '{name}' has no positions")
        answer = self._archive.rows(
            f"FROM {name} WHERE haversine_deg(?, ?, {place[0]}, {place[1]}) <= ?", [ra, dec, radius]
        )
        most = self._most_rows
        told = held.columns if words.get("VERB", "1") == "3" else held.columns[:_BRIEF]
        table = answer.table.select([column.name for column in told])
        return Answer(table.slice(0, most), told, name.split(".")[-1], overflow=table.num_rows > most)

    def _xmatch(self, simbad: Catalogue, request: Request) -> Answer:
        words = request.parameters
        if words.get("REQUEST", "").lower() != "xmatch":
            raise QueryError("REQUEST must be xmatch")
        if words.get("CAT2", "").lower() != "simbad" or "cat1" not in request.uploads:
            raise QueryError("cat1 must be an uploaded table and cat2 simbad")
        radius = _number(words, "DISTMAXARCSEC")
        if radius > _WIDEST_ARCSEC:
            raise QueryError(f"distMaxArcsec is at most {_WIDEST_ARCSEC:g}")
        cat1 = uploads.table("cat1", request.uploads["cat1"])
        ra, dec = words.get("COLRA1", ""), words.get("COLDEC1", "")
        if ra not in cat1.column_names or dec not in cat1.column_names:
            raise QueryError(f"colRA1 '{ra}' and colDec1 '{dec}' must be columns of cat1")
        answer = _near(simbad, cat1, ra, dec, radius, best=words.get("SELECTION", "all") == "best")
        most = min(int(words.get("MAXREC", self._most_rows)), self._most_rows)
        return replace(answer, table=answer.table.slice(0, most), overflow=answer.table.num_rows > most)


def _near(simbad: Catalogue, cat1: pa.Table, ra: str, dec: str, radius_arcsec: float, *, best: bool) -> Answer:
    """angDist, the columns of cat1, those of SIMBAD; `best` keeps the nearest of each row of cat1."""
    theirs = [column.name for column in simbad.tables["basic"].columns if column.name != "oid"]
    names = {"otype": "main_type"}
    told = ", ".join(f'b."{name}" AS "{names.get(name, name)}"' for name in theirs)
    return simbad.rows(
        f"""
        WITH numbered AS (SELECT row_number() OVER () AS _row, * FROM cat1),
        pairs AS (
            SELECT haversine_deg(a."{ra}", a."{dec}", b.ra, b.dec) * 3600 AS "angDist", a.*, {told}
            FROM numbered AS a JOIN basic AS b ON abs(b.dec - a."{dec}") * 3600 <= ?
        )
        SELECT * EXCLUDE (_row) FROM pairs WHERE "angDist" <= ?
        QUALIFY NOT ? OR row_number() OVER (PARTITION BY _row ORDER BY "angDist") = 1
        ORDER BY _row, "angDist"
        """,
        [radius_arcsec, radius_arcsec, best],
        cat1=cat1,
    )


def _number(words: Mapping[str, str], name: str) -> float:
    text = words.get(name, "")
    if not text:
        raise QueryError(f"Field {name}: Required parameter '{name}' missing.")
    try:
        return float(text)
    except ValueError as error:
        raise QueryError(f"Field {name}: '{text}' is not a number") from error
