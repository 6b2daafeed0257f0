"""The models of flickering run in memory on light curves made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from conftest import DR2
from tess_curves import Made

from skysy.models import parameters
from skysy.models.project import Project, load_project

MODELS = ("int_flickering__bins", "int_flickering__spectra", "int_flickering__sectors")


@cache
def project(*settings: str) -> Project:
    """The models of one sector and what they read."""
    return load_project(DR2, only=MODELS, settings=settings)


class Bench:
    """The tables of these light curves, by (object, sector); open until it is let go."""

    def __init__(self, curves: Mapping[tuple[int, int], Made], *settings: str, threads: int = 1) -> None:
        self.con = duckdb.connect(":memory:", config={"threads": threads})
        self.con.execute("CREATE SCHEMA tess")
        rows = [
            pa.table(
                {
                    "object_id": pa.array([object_id] * len(made.flux), pa.int64()),
                    "sector": pa.array([sector] * len(made.flux), pa.int32()),
                    "time_btjd": made.time_btjd,
                    "flux": made.flux,
                    "flux_err": np.ones(len(made.flux)),
                    "quality": made.quality,
                }
            )
            for (object_id, sector), made in curves.items()
        ]
        self.con.register("_points", pa.concat_tables(rows))
        self.con.execute(
            "CREATE TABLE tess.light_curve AS SELECT *, 'SAP_FLUX' AS flux_column, 'electron/s' AS flux_unit, 10.0 AS tess_mag, "
            "NULL::DOUBLE AS flux_share, 'SPOC' AS pipeline, FALSE AS is_comparison, 1 AS _chunk_id FROM _points"
        )
        found = project(*settings)
        parameters.apply(self.con, found.parameters)
        for model in found.models:
            self.con.execute(f"CREATE {model.kind} {model.name} AS {model.sql}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.con.execute(query).fetchall()

    def columns(self, query: str) -> dict[str, np.ndarray[Any, Any]]:
        """The columns of a query."""
        return dict(self.con.execute(query).fetchnumpy())
