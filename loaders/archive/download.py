"""Files of MAST's observations onto this disk: from its public bucket, without an account, gone on with after any end, and checked.

Each is written beside its name and takes it once it is whole; its size and SHA-256 are a row of meta.chunk (state `downloaded`) by then.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skysy.loaders.archive import partial
from skysy.loaders.archive.services import Service
from skysy.loaders.archive.wire import Wire, disk_trouble, stoppable
from skysy.loaders.files import sha256_of

from skysy import __version__, ledger
from skysy.errors import (
    AnswerDamaged,
    ArchiveError,
    ArchiveRefused,
    ArchiveUnreachable,
    FileDamaged,
    QueryFailed,
    SkysyError,
)
from skysy.formats.whole import sync
from skysy.store import Warehouse

_MD5 = re.compile(r'"([0-9a-f]{32})"')
"""An ETag of the bucket that is the MD5 of the file; that of one that was uploaded in parts has a dash in it."""


@dataclass(frozen=True)
class Product:
    """A file of MAST: `key` is its name in the public bucket, None without a copy there; `size` is what MAST has on record."""

    obsid: int
    data_uri: str
    filename: str
    obs_collection: str
    size: int | None
    key: str | None

    @property
    def place(self) -> Path:
        """Where it goes within the directory of downloads: collection, observation, file; a name is never a way out of it."""
        parts = (self.obs_collection or "unknown", str(self.obsid), self.filename)
        return Path(*(re.sub(r"[^\w.+-]", "_", part).lstrip(".") or "_" for part in parts))


@dataclass(frozen=True)
class Downloaded:
    """A file on this disk: `outcome` is downloaded or already there, `note` what is odd about it, in words."""

    product: Product
    path: Path
    url: str
    outcome: str
    bytes: int
    sha256: str
    note: str = ""


Progress = Callable[[Product, Downloaded | SkysyError], None]


def bucket_url(service: Service, key: str) -> str:
    """Where a file of the public bucket is over https."""
    return f"{service.url}/{key}"


def download(
    warehouse: Warehouse,
    release: str,
    service: Service,
    products: Sequence[Product],
    directory: Path,
    progress: Progress = lambda product, told: None,
) -> list[Downloaded]:
    """Bring those of the products that have a copy in the public bucket; a file that is there, as the ledger has it, is not asked for.

    A file that fails is told and the next is tried; raises the first error at the end. A service that refuses or cannot be reached
    ends it at once. What is whole stays, and the same call goes on with the rest.
    """
    wire = Wire(service)
    arguments = {"directory": str(directory), "files": len(products)}
    done: list[Downloaded] = []
    failed: list[SkysyError] = []
    with ledger.noted(warehouse.con, "products", arguments, __version__) as run_id, stoppable():
        for product in _first_of_each(products):
            try:
                done.append(_brought(warehouse, release, run_id, wire, product, directory))
                progress(product, done[-1])
            except (ArchiveRefused, ArchiveUnreachable):
                raise
            except (ArchiveError, FileDamaged) as error:
                failed.append(error)
                progress(product, error)
        if failed:
            more = f" {len(failed) - 1} more files failed." if len(failed) > 1 else ""
            raise type(failed[0])(failed[0].message + more, failed[0].remedy)
    return done


def _first_of_each(products: Iterable[Product]) -> Iterator[Product]:
    """Those with a copy in the bucket, each once though several candidates or observations have it."""
    seen = set()
    for product in products:
        if product.key is not None and product.key not in seen:
            seen.add(product.key)
            yield product


def _brought(
    warehouse: Warehouse, release: str, run_id: int, wire: Wire, product: Product, directory: Path
) -> Downloaded:
    assert product.key is not None
    url, path = bucket_url(wire.service, product.key), (directory / product.place).absolute()
    known = warehouse.rows(
        "SELECT chunk_id, sha256, bytes FROM meta.chunk WHERE state = 'downloaded' AND part->>'file' = ? ORDER BY chunk_id DESC LIMIT 1",
        [str(path)],
    )
    if path.exists():
        if not known or sha256_of(path) != known[0][1]:
            why = "has other bytes than were downloaded" if known else "was not downloaded by skysy"
            raise FileDamaged(f"{path} {why}.", "It was left as it is. Move it away, then give the same command again.")
        return Downloaded(product, path, url, "already there", int(known[0][2]), str(known[0][1]))
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_trouble(error, path) from error
    _fetch(wire, url, part)
    size, sha256 = _checked(product, url, part)
    with warehouse.transaction():
        for old, *_ in known:
            warehouse.run("DELETE FROM meta.chunk WHERE chunk_id = ?", [old])
        chunk = ledger.Chunk(
            chunk_id=ledger.next_chunk_id(warehouse.con), release=release, table_name="mast.product", service=wire.service.key,
            source=url, format="file", expected_rows=None, received_rows=0, bytes=size, sha256=sha256, content_hash="",
            notes={"data_uri": product.data_uri, "size_on_record": product.size}, started_at=ledger.now(), state="downloaded",
        )  # fmt: skip
        ledger.write_chunk(warehouse.con, run_id, chunk)
        warehouse.run(
            "UPDATE meta.chunk SET part = ?, route = 'files' WHERE chunk_id = ?",
            [json.dumps({"file": str(path)}), chunk.chunk_id],
        )
    part.replace(path)  # after the ledger's row: a file of this name is one that the ledger knows
    partial.forget_note(part)
    sync(path.parent)
    odd = product.size not in (None, size)  # the bucket's own word of its size was kept
    note = f"MAST has it on record with {product.size:,} bytes" if odd else ""
    return Downloaded(product, path, url, "downloaded", size, sha256, note)


def _fetch(wire: Wire, url: str, part: Path) -> None:
    """The whole file as `part`; what an earlier call brought of it is not asked for again."""
    whole = partial.told(part)
    if whole is not None and whole.url == url and part.is_file() and whole.size == part.stat().st_size:
        return
    reply = wire.get_file(url, part)
    if reply.status == 416:  # there is no such rest: what lies here is of another file
        partial.forget(part)
        reply = wire.get_file(url, part)
    if reply.status == 404:
        raise QueryFailed(
            f"{wire.service.title} has no file {url}.", "MAST names it, the bucket has it not; its portal may."
        )
    if reply.status not in (200, 206):
        raise QueryFailed(f"{wire.service.title}: HTTP {reply.status} for {url}.")


def _checked(product: Product, url: str, part: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file that came whole; raises AnswerDamaged, and takes it away, where it is cut or changed."""
    whole = partial.told(part)
    size = part.stat().st_size
    problem = ""
    if whole is not None and whole.size is not None and whole.size != size:
        problem = f"{whole.size:,} bytes were told and {size:,} came"
    elif (whole is None or whole.size is None) and product.size not in (None, size):
        problem = f"MAST has it on record with {product.size:,} bytes and {size:,} came"
    elif whole is not None and (told := _MD5.fullmatch(whole.etag)):
        with part.open("rb") as body:
            md5 = hashlib.file_digest(body, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if md5 != told[1]:
            problem = f"its MD5 is {md5}, and the bucket says {told[1]}"
    if problem:
        partial.forget(part)
        raise AnswerDamaged(f"{url}: {problem}.", "Nothing of it was kept. The same command asks for it again.")
    return size, sha256_of(part)
