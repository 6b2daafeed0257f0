"""Positions asked one by one at a cone-search endpoint, and many at once at CDS X-Match."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from skysy.loaders.archive.upload import Positions, positions_table
from skysy.loaders.archive.uws import plain_words
from skysy.loaders.archive.wire import Reply, Wire

from skysy.errors import QueryFailed

CONTROL_KEY = -1
CONTROL_NAME = "R Aqr"
CONTROL_DEG = (355.956090, -15.284483)
"""A star that SIMBAD has at this place, ICRS; it goes along with every X-Match, to see that the upload was read."""


def multicone(
    wire: Wire, catalogue: str, keys: Sequence[int], positions: Positions, radius_arcsec: float, to: Path
) -> Reply:
    """The rows of all cones in one CSV file, its header once; a cone that fails is an error, never an empty one.

    Simple Cone Search 1.03 with the survey's CATALOG and RESPONSEFORMAT; RA, DEC and SR in degrees.
    """
    header, ends = "", None
    digest, size = hashlib.sha256(), 0
    with to.open("wb") as target:
        for key in keys:
            ra, dec = positions[key]
            reply = wire.get(
                wire.service.url,
                {
                    "CATALOG": catalogue, "RA": repr(ra), "DEC": repr(dec), "SR": repr(radius_arcsec / 3600),
                    "VERB": "3", "RESPONSEFORMAT": "CSV",
                },
            )  # fmt: skip
            lines = reply.text.lstrip("\ufeff").splitlines(keepends=True)
            if reply.status != 200 or not lines or lines[0].lstrip().startswith("<"):
                words = plain_words(reply.text) or f"HTTP {reply.status}, an empty answer"
                raise QueryFailed(f"{wire.service.title}: the cone around object {key} failed: {words}")
            if ends is not None and reply.text.endswith("\n") != ends:
                raise QueryFailed(
                    f"{wire.service.title}: the cone around object {key} ends unlike those before: it is cut."
                )
            ends = reply.text.endswith("\n")
            if not header:
                header = lines[0].strip()
            elif lines[0].strip() != header:
                raise QueryFailed(
                    f"{wire.service.title}: the cone around object {key} has other columns than those before."
                )
            body = "".join(lines[1:] if size else lines)
            block = (body if body.endswith("\n") or not body else body + "\n").encode()
            digest.update(block)
            size += len(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    return Reply(wire.service.url, 200, {}, "", size, digest.hexdigest())


def xmatch(wire: Wire, keys: Sequence[int], positions: Positions, radius_arcsec: float, to: Path) -> Reply:
    """SIMBAD's nearest object within the radius of each position, and of the control star, by an upload to CDS X-Match."""
    words = {
        "REQUEST": "xmatch", "cat2": "simbad", "distMaxArcsec": repr(radius_arcsec), "RESPONSEFORMAT": "votable",
        "colRA1": "obj_ra", "colDec1": "obj_dec", "selection": "best", "MAXREC": str(wire.service.max_rows),
    }  # fmt: skip
    table = positions_table([*keys, CONTROL_KEY], {**positions, CONTROL_KEY: CONTROL_DEG})
    files = {"cat1": ("objects.vot", table, "application/x-votable+xml")}
    reply = wire.post(wire.service.url, words, files=files, repeatable=True, to=to)
    if reply.status >= 400:
        raise QueryFailed(f"{wire.service.title} failed: {plain_words(reply.text) or f'HTTP {reply.status}'}")
    return reply
