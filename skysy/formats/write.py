"""One way to write a table to a file: whole or not at all, with what each column means inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from skysy.columns import Column
from skysy.errors import UsageError, did_you_mean
from skysy.formats.parquet import ParquetStream
from skysy.formats.text import write_csv
from skysy.formats.votable import write_votable
from skysy.formats.whole import whole_file

# format -> suffix that says so
SUFFIX = {
    "parquet": ".parquet",
    "csv": ".csv",
    "csv.gz": ".csv.gz",
    "votable-binary2": ".vot",
    "votable-binary": ".vot",
    "votable-tabledata": ".vot",
    "fits": ".fits",
}
FORMATS = tuple(SUFFIX)


def write_table(
    path: Path, format: str, table: pa.Table, columns: Sequence[Column], *, name: str, description: str = ""
) -> None:
    """The file at `path` with the table's `columns`, in their order and of their types.

    It appears under its name only when it is whole and on disk; what stood there before is replaced. `name` and
    `description` are the table's own. CSV is compressed when the path ends in .gz. Parquet follows the IVOA Note
    "Parquet in the VO" (VOParquet 1.0). Raises UsageError for a format that there is not or that cannot hold a value.
    """
    if format not in SUFFIX:
        raise UsageError(f"There is no format {format!r}.", did_you_mean(format, FORMATS))
    if format == "parquet":
        with ParquetStream(path, columns, name=name, description=description) as stream:
            stream.write(table)
        return
    with whole_file(path) as out:
        if format in ("csv", "csv.gz"):
            write_csv(out, table, columns, gzip=path.name.endswith(".gz"))
        elif format == "fits":
            from skysy.formats.fits import write_fits

            write_fits(out, table, columns, name, description)
        else:
            write_votable(out, table, columns, format.removeprefix("votable-").upper(), name, description)
