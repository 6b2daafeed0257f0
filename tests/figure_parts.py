"""What the tests of figures ask of the axes that they are given, and of the tables beside them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from skysy.store import Warehouse

Reals = NDArray[np.float64]


def table(warehouse: Warehouse, query: str) -> Reals:
    """The rows of a query as an array, NULL as NaN."""
    return np.array(warehouse.rows(query), dtype=float)


def parameter(warehouse: Warehouse, name: str) -> float:
    return float(warehouse.value("SELECT value FROM meta.parameter WHERE name = ?", [name]))


def crowd(axes: Axes) -> PolyCollection:
    [found] = [part for part in axes.collections if isinstance(part, PolyCollection)]
    return found


def line(axes: Axes, label: str) -> Line2D:
    [found] = [part for part in axes.lines if str(part.get_label()).startswith(label)]
    return found


def dots(axes: Axes, label: str) -> PathCollection:
    [found] = [
        part
        for part in axes.collections
        if isinstance(part, PathCollection) and str(part.get_label()).startswith(label)
    ]
    return found


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def counted_by_hand(axes: Axes, points: Reals) -> dict[tuple[float, float], int]:
    """Points inside the axes by the nearest centre of a hexagon, found by comparing with every centre."""
    hexagons = crowd(axes)
    centres = np.asarray(hexagons.get_offsets(), dtype=float)
    corners = hexagons.get_paths()[0].vertices
    size = (np.ptp(corners[:, 0]), 1.5 * np.ptp(corners[:, 1]))  # a step along x, two rows along y
    low, high = zip(sorted(axes.get_xlim()), sorted(axes.get_ylim()), strict=True)
    inside = points[((points >= low) & (points <= high)).all(axis=1)]
    distance = sum(
        weight * ((inside[:, None, axis] - centres[None, :, axis]) / size[axis]) ** 2
        for axis, weight in ((0, 1.0), (1, 3.0))
    )
    nearest, n = np.unique(np.argmin(distance, axis=1), return_counts=True)
    return {(centres[place, 0], centres[place, 1]): int(count) for place, count in zip(nearest, n, strict=True)}


def drawn_counts(axes: Axes) -> dict[tuple[float, float], int]:
    hexagons = crowd(axes)
    values = np.asarray(hexagons.get_array())
    return {(x, y): int(n) for (x, y), n in zip(np.asarray(hexagons.get_offsets()), values, strict=True)}
