"""Questions to MAST's portal (https://mast.stsci.edu/api/v0): observations around positions, products of observations.

One position is asked as a cone (Mast.Caom.Cone), a list by cross-match (Mast.Caom.Crossmatch) with its object_id as a
column of text. Nothing public says whether a cross-match sends uploaded columns back, or gives an observation that covers two
positions to both. So each list carries one well observed star twice: where its rows do not come back under both its names, all the
same, the list is asked one by one.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skysy.loaders.archive.cone import CONTROL_DEG
from skysy.loaders.archive.mast_reply import CONTROLS, OWNER, Page, asked_about, read_lookup, read_page, whole
from skysy.loaders.archive.upload import Positions
from skysy.loaders.archive.uws import plain_words
from skysy.loaders.archive.wire import Reply, Wire, disk_trouble

from skysy.errors import FileDamaged, QueryFailed, TooMuch

IN_BUCKET = ("mast:hst/product", "mast:tess/product", "mast:kepler", "mast:galex", "mast:ps1", "mast:jwst/product")
"""How URIs begin of which MAST keeps a public copy (astroquery 0.4.11, mast/cloud.py); not Swift, IUE or FUSE."""

_CONTROL_RADIUS_DEG = 0.002
_URIS_AT_A_TIME = 50
"""URIs in one look-up; more make its address too long."""


class Unowned(TooMuch):
    """An answer does not tell whose rows it gives; what it is about is to be asked one by one."""


def observations(wire: Wire, keys: Sequence[int], positions: Positions, radius_arcsec: float, to: Path) -> Reply:
    """All observations whose footprint lies within the radius of each position, as the pages came."""
    radius = radius_arcsec / 3600
    if len(keys) == 1:
        ra, dec = positions[keys[0]]
        _, texts = _pages(wire, {"service": "Mast.Caom.Cone", "params": {"ra": ra, "dec": dec, "radius": radius}})
        return _kept(wire, texts, to)
    places = {**{key: positions[key] for key in keys}, **dict.fromkeys(CONTROLS, CONTROL_DEG)}
    fields = [
        {"name": OWNER, "type": "string"},
        {"name": "obj_ra", "type": "float"},
        {"name": "obj_dec", "type": "float"},
    ]
    request = {
        "service": "Mast.Caom.Crossmatch",
        "data": {
            "fields": fields,
            "data": [{OWNER: str(key), "obj_ra": ra, "obj_dec": dec} for key, (ra, dec) in places.items()],
        },
        "params": {"raColumn": "obj_ra", "decColumn": "obj_dec", "radius": radius},
    }
    pages, texts = _pages(wire, request)
    if not _owned(pages, keys):
        raise Unowned(f"{wire.service.title}: the cross-match does not tell whose rows it gives.")
    return _kept(wire, texts, to)


def control(wire: Wire) -> Page:
    """The first page of what MAST has at the place of the star that goes along with every list."""
    ra, dec = CONTROL_DEG
    params = {"ra": ra, "dec": dec, "radius": _CONTROL_RADIUS_DEG}
    return _complete(
        wire, {"service": "Mast.Caom.Cone", "params": params, "format": "json", "pagesize": 10, "page": 1}
    )[0]


def products(wire: Wire, keys: Sequence[int], to: Path) -> Reply:
    """The files of observations, as the pages came, and the paths in the public bucket of those that have one there.

    Raises Unowned where it is not told which of several observations a file was listed for.
    """
    pages, texts = _pages(wire, {"service": "Mast.Caom.Products", "params": {"obsid": ",".join(map(str, keys))}})
    if any(asked_about(row, keys) is None for page in pages for row in page.rows):
        raise Unowned(f"{wire.service.title}: it does not tell which observation a file is of.")
    uris = dict.fromkeys(str(row.get("dataURI")) for page in pages for row in page.rows)
    wanted = [uri for uri in uris if uri.lower().startswith(IN_BUCKET)]
    for start in range(0, len(wanted), _URIS_AT_A_TIME):
        texts.append(_paths(wire, wanted[start : start + _URIS_AT_A_TIME]))
    return _kept(wire, texts, to)


def _owned(pages: Sequence[Page], keys: Sequence[int]) -> bool:
    """Whether each row names who was asked about, and the star that was asked about twice has all its rows twice."""
    owners: dict[str, set[str]] = {str(key): set() for key in (*keys, *CONTROLS)}
    for page in pages:
        for row in page.rows:
            if str(row.get(OWNER)) not in owners:
                return False
            owners[str(row[OWNER])].add(str(row.get("obsid")))
    once, twice = (owners[str(one)] for one in CONTROLS)
    return bool(once) and once == twice


def _pages(wire: Wire, request: Mapping[str, Any]) -> tuple[list[Page], list[str]]:
    """The pages of an answer and their texts, each asked for until it is complete; raises an error in words for what is none."""
    # The same request would be answered from MAST's memory; the word makes it a new one, all its pages alike.
    request = {**request, "format": "json", "pagesize": wire.service.page_rows, "cacheBreaker": uuid.uuid4().hex}
    pages: list[Page] = []
    texts: list[str] = []
    while not pages or len(pages) < pages[0].pages:
        page, text = _complete(wire, {**request, "page": len(pages) + 1})
        pages.append(page)
        texts.append(text)
        if page.total >= wire.service.max_rows:
            raise TooMuch(f"{wire.service.title}: {page.total:,} rows, as many as it gives at once.")
        if page.number != len(pages):
            break  # told by `whole`
    whole(pages, wire.service.title)
    return pages, texts


def _complete(wire: Wire, request: Mapping[str, Any]) -> tuple[Page, str]:
    url = f"{wire.service.url}/api/v0/invoke"
    deadline = time.monotonic() + wire.service.job_s
    while True:
        reply = wire.post(url, {"request": json.dumps(request)}, repeatable=True)
        if reply.status >= 400:
            raise QueryFailed(f"{wire.service.title} failed: {plain_words(reply.text) or f'HTTP {reply.status}'}")
        page = read_page(reply.text, wire.service.title)
        if page is not None:
            return page, reply.text
        if time.monotonic() > deadline:
            raise TooMuch(
                f"{wire.service.title}: the request was still executing after {wire.service.job_s:g} s.",
                "What was committed stays. A longer wait is `job_s` in skysy.toml.",
            )
        wire.wait(wire.service.poll_s)


def _paths(wire: Wire, uris: Sequence[str]) -> str:
    reply = wire.get(f"{wire.service.url}/api/v0.1/path_lookup/", {"uri": list(uris)})
    if reply.status >= 400:
        raise QueryFailed(
            f"{wire.service.title}, look-up of paths: {plain_words(reply.text) or f'HTTP {reply.status}'}"
        )
    try:
        read_lookup(json.loads(reply.text), uris, wire.service.title)
    except ValueError as error:
        raise FileDamaged(f"{wire.service.title}: the look-up of paths is no JSON, or cut: {error}.") from error
    return reply.text


def _kept(wire: Wire, texts: Sequence[str], to: Path) -> Reply:
    """The bodies one behind the other in a file, on disk when this returns."""
    body = "\n".join(texts).encode()
    try:
        with to.open("wb") as target:
            target.write(body)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise disk_trouble(error, to) from error
    return Reply(wire.service.url, 200, {}, "", len(body), hashlib.sha256(body).hexdigest())
