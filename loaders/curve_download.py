"""A light curve that lies at an address: fetched once into the warehouse's raw directory, whole or not at all."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from skysy.loaders.archive.services import Service
from skysy.loaders.archive.wire import Wire

from skysy.errors import ArchiveRefused, UsageError
from skysy.formats.whole import whole_path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(fits|fit|fits\.gz|csv)", re.IGNORECASE)


def is_address(file: str) -> bool:
    """Whether a word names an address and no file."""
    return re.match(r"[a-z]+://", file, re.IGNORECASE) is not None


def fetch_curve(address: str, warehouse: Path) -> Path:
    """The file at an http or https address, in WAREHOUSE/raw/tess under a folder of the address; one that is there is not asked for again.

    Broken and short answers are asked for again as those of any service. Raises UsageError for another kind of address or one that
    names no file, ArchiveUnreachable and ArchiveRefused where it does not come.
    """
    parts = urlsplit(address)
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{address} is no http or https address.", "Fetch the file yourself and give its name.")
    uris = parse_qs(parts.query).get("uri", [parts.path])  # MAST names the file in its parameter uri
    name = uris[0].rsplit("/", 1)[-1]
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{address} names no .fits or .csv file, but {name or 'nothing'}.",
            "Fetch the file yourself and give its name.",
        )
    path = warehouse / "raw" / "tess" / hashlib.sha256(address.encode()).hexdigest()[:12] / name
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    service = Service("lightcurve", parts.netloc, "file", f"{parts.scheme}://{parts.netloc}", tries=4)
    with whole_path(path) as partial:
        reply = Wire(service).get(address, to=partial)
        if reply.status != 200:
            raise ArchiveRefused(
                f"{parts.netloc} answers HTTP {reply.status} to {address}.",
                "Nothing was changed. Look whether the address is right.",
            )
    return path
