"""HATS catalogues of archive tables, as an archive would serve them, and a server that sends them, cuts them or has lost them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import hpgeom
import numpy as np
import pyarrow as pa

from skysy.columns import Column
from skysy.formats.hats import HEALPIX, ORDER_MAX, Catalogue, by_cell, cells_of, write_catalogue


def write_hats(directory: Path, rows: pa.Table, columns: tuple[Column, ...], ra: str, dec: str, rows_max: int) -> Path:
    """A catalogue of these rows at a directory that is not there yet."""
    ra_deg, dec_deg = (rows.column(name).to_numpy() for name in (ra, dec))
    numbers = hpgeom.angle_to_pixel(2**29, ra_deg, dec_deg, nest=True)
    order = np.argsort(numbers, kind="stable")
    full = rows.append_column(HEALPIX.name, pa.array(numbers)).take(pa.array(order)).combine_chunks()
    cells = cells_of(*np.unique(numbers >> 2 * (29 - ORDER_MAX), return_counts=True), rows_max)
    directory.mkdir(parents=True)
    about = Catalogue(directory.name, "rows of an archive", (HEALPIX, *columns), (), ra, dec, rows_max, "")
    write_catalogue(directory, about, cells, by_cell(full.to_batches(), cells))
    return directory


class Server:
    """Sends the files of a directory; `asked` are the requests so far, (path, status)."""

    def __init__(self, directory: Path) -> None:
        self.asked: list[tuple[str, int]] = []
        self.cut: set[str] = set()
        """Paths whose body ends in its middle."""
        handler = partial(_Handler, directory=str(directory))
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.test = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def statuses(self) -> set[int]:
        """Of all requests since they were last looked at."""
        found = {status for _, status in self.asked}
        self.asked.clear()
        return found


class _Handler(SimpleHTTPRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        self.server.test.asked.append((self.path, int(code)))  # type: ignore[attr-defined]

    def log_message(self, format: str, *words: object) -> None:
        """Nothing on the terminal."""

    def copyfile(self, source: object, outputfile: object) -> None:
        content: bytes = source.read()  # type: ignore[attr-defined]
        half = len(content) // 2
        outputfile.write(content[:half] if self.path in self.server.test.cut else content)  # type: ignore[attr-defined]


@contextmanager
def served(directory: Path) -> Iterator[Server]:
    """A server on the loopback, ended at the end."""
    server = Server(directory)
    Thread(target=server._http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server._http.shutdown()
        server._http.server_close()
