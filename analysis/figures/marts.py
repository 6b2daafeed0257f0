"""What the figures read of a built warehouse: limits, columns, and counts in hexagons made inside DuckDB."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.transforms import AffineDeltaTransform
from numpy.typing import NDArray
from skysy.analysis.figures.style import Theme

from skysy.errors import ModelError
from skysy.store import Warehouse

Reals = NDArray[np.float64]

_HEXAGONS = """
    WITH scaled AS (
        SELECT ({x} - $x0) / $step_x AS u, ({y} - $y0) / $step_y AS v
        FROM {relation}
        WHERE {x} BETWEEN $x0 AND $x1 AND {y} BETWEEN $y0 AND $y1
    ),
    placed AS (
        SELECT
            round(u) AS u1, round(v) AS v1, floor(u) + 0.5 AS u2, floor(v) + 0.5 AS v2,
            (u - u1) ** 2 + 3 * (v - v1) ** 2 < (u - u2) ** 2 + 3 * (v - v2) ** 2 AS is_first
        FROM scaled
    )
    SELECT if(is_first, u1, u2) AS u, if(is_first, v1, v2) AS v, count(*) AS n
    FROM placed
    GROUP BY ALL
    ORDER BY ALL
"""


# Counted in tenths, so that the answer does not depend on the order of rows, as an approximate quantile's would.
_BOUNDS = """
    WITH tenths AS (
        SELECT floor(10 * {axis}) AS tenth, count(*) AS n
        FROM {relation}
        WHERE isfinite({x}) AND isfinite({y})
        GROUP BY ALL
    ),
    running AS (SELECT tenth, sum(n) OVER (ORDER BY tenth) AS n_upto, sum(n) OVER () AS n_all FROM tenths)
    SELECT
        min(tenth) FILTER (WHERE n_upto > 0.0005 * n_all) / 10,
        (min(tenth) FILTER (WHERE n_upto >= 0.9995 * n_all) + 1) / 10
    FROM running
"""


@dataclass(frozen=True)
class Frame:
    """The part of a plane that is drawn, in the plane's units."""

    x: tuple[float, float]
    y: tuple[float, float]

    def beyond(self, x: Reals, y: Reals) -> int:
        """How many points lie outside; one that misses a coordinate lies nowhere."""
        return int(np.sum((x < self.x[0]) | (x > self.x[1]) | (y < self.y[0]) | (y > self.y[1])))


_NEEDED = (
    "sample", "cut_flow", "measurements", "nightly_colours", "colours", "sequences", "rapid_variability", "density_score",
    "effective_sigma", "int_effective__bins", "int_selection__matched", "int_selection__cuts", "simbad_status", "candidates",
    "known_recovery", "false_alarms",
)  # fmt: skip


def require_build(warehouse: Warehouse) -> None:
    """Raise ModelError where the tables that figures and report are made of have not been built."""
    standing = warehouse.all_columns()
    missing = [name for name in _NEEDED if f"main.{name}" not in standing]
    if not missing and warehouse.value("SELECT count(*) FROM meta.model"):
        return
    what = f"lacks {', '.join(missing)}" if 0 < len(missing) < len(_NEEDED) else "has not been built yet"
    raise ModelError(
        f"The warehouse {warehouse.settings.database} {what}.", "Nothing was written. Run `skysy build` first."
    )


def limit(warehouse: Warehouse, name: str) -> float | None:
    """The value that a parameter had in the build of these tables, else in this session; None without either."""
    rows = warehouse.rows("SELECT value FROM meta.parameter WHERE name = ?", [name])
    value = rows[0][0] if rows else warehouse.value("SELECT getvariable(?)", [name])
    return None if value is None else float(value)


def has(warehouse: Warehouse, table: str, *columns: str) -> bool:
    """Whether a published table is there with these columns."""
    return {"object_id", *columns} <= set(warehouse.columns("main", table))


def arrays(warehouse: Warehouse, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> dict[str, Reals]:
    """The numeric columns of a query as float64 arrays, NULL as NaN."""
    found = warehouse.con.execute(query, parameters).fetchnumpy()
    return {name: np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan) for name, values in found.items()}


def frame(
    warehouse: Warehouse,
    relation: str,
    x: str,
    y: str,
    points: Iterable[tuple[float | None, float | None]] = (),
) -> Frame | None:
    """A frame round all but the outermost 0.1 % of a relation's finite points, and round the `points` given.

    Its edges are whole fifths, so that a few more stars leave a figure as it is. None without any point.
    """
    bounds = [warehouse.rows(_BOUNDS.format(relation=relation, x=x, y=y, axis=axis))[0] for axis in (x, y)]
    if bounds[0][0] is None:
        return None
    given = list(points)
    edges = []
    for axis in (0, 1):
        asked = [value for point in given if (value := point[axis]) is not None and math.isfinite(value)]
        values = [*bounds[axis], *asked]
        edges.append((math.floor(5 * min(values) - 0.5) / 5, math.ceil(5 * max(values) + 0.5) / 5))
    return Frame(edges[0], edges[1])


def draw_crowd(
    axes: Axes,
    warehouse: Warehouse,
    relation: str,
    x: str,
    y: str,
    frame: Frame,
    theme: Theme,
    across: int = 72,
    rows: int = 30,
) -> PolyCollection | None:
    """How many points of a relation lie in each hexagon of the frame, logarithmic; None where there are none.

    `across` and `rows` are the hexagons along x and their pairs of rows along y. Hexagons
    as in Carr et al. 1987, J. Am. Stat. Assoc. 82, 424: the nearer centre of two rectangular lattices.
    """
    step_x, step_y = (frame.x[1] - frame.x[0]) / across, (frame.y[1] - frame.y[0]) / rows
    counted = arrays(
        warehouse,
        _HEXAGONS.format(relation=relation, x=x, y=y),
        {"x0": frame.x[0], "x1": frame.x[1], "y0": frame.y[0], "y1": frame.y[1], "step_x": step_x, "step_y": step_y},
    )  # fmt: skip
    axes.set_xlim(frame.x)
    axes.set_ylim(frame.y)
    if not len(counted["n"]):
        return None
    corners = np.array([[0.5, -0.5], [0.5, 0.5], [0, 1], [-0.5, 0.5], [-0.5, -0.5], [0, -1]])
    crowd = PolyCollection(
        [corners * [step_x, step_y / 3]],
        offsets=np.column_stack([frame.x[0] + step_x * counted["u"], frame.y[0] + step_y * counted["v"]]),
        offset_transform=AffineDeltaTransform(axes.transData),  # type: ignore[arg-type]
        array=counted["n"],
        cmap=theme.crowd_map,
        norm=LogNorm(1, max(float(counted["n"].max()), 10)),
        linewidths=0.2,
        edgecolors="face",
        zorder=1,
    )
    axes.add_collection(crowd, autolim=False)
    return crowd
