"""Which positions lie near a HEALPix cell without being in it: the rows of a HATS margin catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from skysy.formats.hats import Cell

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_ORDER = 29
_SKY = 12 * 4**_ORDER
_CELL_DEG = 58.6  # the side of a square as large as a cell of order 0
_PIECES = 8
_CURVED = 1.1  # an eighth of an edge is never longer than this times its chord
_SAME_RAD = 1e-12  # pieces of an edge shorter than this, 0.2 microarcsec, are points
_AT_ONCE = 8192
# Row and place along the ring of each base cell's southern corner (Gorski et al. 2005, ApJ 622, 759, section 5).
_RING = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_ALONG = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])
# Each edge of a cell: where it begins, in sides of the cell, and which way it goes.
_BEGINS = np.array([(0, 0), (0, 0), (1, 0), (0, 1)])
_GOES = np.array([(1, 0), (0, 1), (0, 1), (1, 0)])


def cover(cells: Sequence[Cell]) -> list[Cell]:
    """The cells and, between them, the largest others that are free, sorted: together they are the whole sky.

    A catalogue that is matched against this one may have rows in a free cell, and partners across its border.
    """
    found: list[Cell] = []
    at = 0
    for cell in [*sorted(cells), None]:
        until = cell.first if cell else _SKY
        while at < until:
            order = next(k for k in range(_ORDER + 1) if at % (size := 4 ** (_ORDER - k)) == 0 and at + size <= until)
            found.append(Cell(at, order))
            at = found[-1].end
        if cell:
            found.append(cell)
            at = cell.end
    return found


def near_cells(
    ra: Reals, dec: Reals, numbers: Integers, cells: Sequence[Cell], threshold_arcsec: float
) -> tuple[Integers, Integers]:
    """(rows, cells): which positions [deg] are how near to which cells that they are not in, as indices of both.

    A distance of `threshold_arcsec` counts as near. `numbers` are the positions' own order-29 cells, `cells` are those of
    `cover`. Distances are those to the cell's true edges, which are no great circles.
    """
    rows, places = _candidates(numbers, cells, threshold_arcsec)
    lon, lat = np.radians(ra), np.radians(dec)
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    orders, pixels = np.array([[cell.order, cell.pixel] for cell in cells], dtype="i8").reshape(-1, 2).T
    near = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        own = places[some]
        near[some] = _reach(points[rows[some]], orders[own], pixels[own], np.radians(threshold_arcsec / 3600))
    return rows[near], places[near]


def _candidates(numbers: Integers, cells: Sequence[Cell], threshold_arcsec: float) -> tuple[Integers, Integers]:
    """Rows beside all cells, but their own, that share a wider neighbourhood with them; sorted."""
    import hpgeom

    # A circle four times smaller than a pixel does not leave the pixel and its neighbours.
    sizes = _CELL_DEG * 3600 / 2.0 ** np.arange(_ORDER + 1)
    order = int(np.flatnonzero(sizes >= 4 * threshold_arcsec)[-1])
    shift = 2 * (_ORDER - order)
    pixels, place, count = np.unique(numbers >> shift, return_inverse=True, return_counts=True)
    around = np.column_stack([pixels, hpgeom.neighbors(2**order, pixels, nest=True)])
    around = np.where(around < 0, pixels[:, None], around)  # eight corners of the sky lack a neighbour
    firsts = np.array([cell.first for cell in cells])
    begin = np.searchsorted(firsts, around << shift, side="right") - 1
    end = np.searchsorted(firsts, (around + 1) << shift, side="left")
    spans = (end - begin).ravel()
    within = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
    pairs = np.column_stack(
        [np.repeat(np.arange(len(pixels)), 9).repeat(spans), np.repeat(begin.ravel(), spans) + within]
    )
    pairs = np.unique(pairs, axis=0)
    by_pixel = np.argsort(place, kind="stable")
    starts = np.cumsum(count) - count
    many = count[pairs[:, 0]]
    which = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    rows = by_pixel[np.repeat(starts[pairs[:, 0]], many) + which]
    places = np.repeat(pairs[:, 1], many)
    other = np.searchsorted(firsts, numbers[rows], side="right") - 1 != places
    rows, places = rows[other], places[other]
    sorting = np.lexsort((places, rows))
    return rows[sorting], places[sorting]


def _reach(points: Reals, orders: Integers, pixels: Integers, threshold: float) -> npt.NDArray[np.bool_]:
    """Which points come as near to the edges of their cell as the threshold [rad].

    Edges are halved where their ends do not decide: no point of a piece can be nearer than half of what both its ends'
    distances are more than its length.
    """
    corner, face = _southern_corner(orders, pixels)
    side = 0.5 ** orders.astype("f8")
    found = np.zeros(len(points), dtype=bool)
    row, edge, piece = (one.ravel() for one in np.indices((len(points), 4, _PIECES)))
    low, width = piece / _PIECES, 1 / _PIECES

    def ends(along: Reals) -> Reals:
        place = corner[row] + side[row, None] * (_BEGINS[edge] + along[:, None] * _GOES[edge])
        return _on_sphere(place[:, 0], place[:, 1], face[row])

    while row.size:
        one, other = ends(low), ends(low + width)
        to_one, to_other = _angle(points[row], one), _angle(points[row], other)
        length = _CURVED * _angle(one, other)
        found[row[np.minimum(to_one, to_other) <= threshold]] = True
        undecided = ~found[row] & ((to_one + to_other - length) / 2 <= threshold) & (length > _SAME_RAD)
        width /= 2
        row, edge = np.repeat(row[undecided], 2), np.repeat(edge[undecided], 2)
        low = np.column_stack([low[undecided], low[undecided] + width]).ravel()
    return found


def _angle(one: Reals, other: Reals) -> Reals:
    """Angles between unit vectors [rad]."""
    half: Reals = np.sqrt(np.sum((one - other) ** 2, axis=-1)) / 2
    return 2 * np.arcsin(np.minimum(half, 1.0))


def _southern_corner(orders: Integers, pixels: Integers) -> tuple[Reals, Integers]:
    """Where the cells begin within their base cells, as fractions of these, and which base cells these are."""
    face = pixels >> 2 * orders
    x, y = np.zeros_like(pixels), np.zeros_like(pixels)
    for bit in range(int(orders.max(initial=0))):
        inside = bit < orders
        x |= np.where(inside, (pixels >> 2 * bit & 1) << bit, 0)
        y |= np.where(inside, (pixels >> 2 * bit + 1 & 1) << bit, 0)
    side = 0.5 ** orders.astype("f8")
    return np.column_stack([x * side, y * side]), face


def _on_sphere(x: Reals, y: Reals, face: Integers) -> Reals:
    """Unit vectors of places within base cells: x to the north-east, y to the north-west, both 0 to 1 (Gorski et al. 2005)."""
    ring = _RING[face] - x - y
    north, south = ring < 1, ring > 3
    scale = np.where(north, ring, np.where(south, 4 - ring, 1.0))
    from_pole = scale * scale / 3
    z = np.where(north, 1 - from_pole, np.where(south, from_pole - 1, (2 - ring) * 2 / 3))
    flat = np.where(north | south, from_pole * (2 - from_pole), (1 - z) * (1 + z))
    across = np.sqrt(np.maximum(flat, 0.0))
    along = _ALONG[face] * scale + x - y
    lon = np.divide(along, scale, out=np.zeros_like(along), where=scale > 1e-15) * (np.pi / 4)
    return np.stack([across * np.cos(lon), across * np.sin(lon), z], axis=-1)
