"""How rare a star's colours are: the logarithm of a Gaussian kernel density, in time that grows as N.

The score of point i among N points in a plane is

    ln[ (1/N) S_i / (2 pi h^2) ],    S_i = sum_j exp(-d_ij^2 / 2h^2),    j over all N points, i included.

S_i is found by a fast Gauss transform (Greengard & Strain 1991, SIAM J. Sci. Stat. Comput. 12, 79) on square
boxes of side h; from here on lengths are in units of h. The kernel is a product of g(t) = exp(-t^2/2) in each
coordinate. Within a pair of boxes k apart, with u and v from -1 to 1 across each,

    g(k + (u - v)/2) = sum_ab A_k[a,b] T_a(u) T_b(v) + error,     a, b = 0 ... q-1,

where T are Chebyshev polynomials and A_k interpolates g at q Chebyshev nodes in u and in v. So a box of
sources is told by its moments sum_j T_a(u_j) T_b(v_j), the field in a box of targets by q x q coefficients;
the small matrices A_k lead from one to the other, along one coordinate and then along the other.

The error has three parts; each is kept under a third of TOLERANCE, as S_i is 1 at least (the point itself):

* interpolation. At q nodes on a box of half-width 1/2 it is at most 2 (1/4)^q max|g^(q)| / q!, where Cramer's
  inequality gives |g^(q)| <= 1.0865 sqrt(q!) (for such bounds: Baxter & Roussos 2002, SIAM J. Sci. Comput.
  24, 257). Interpolation in u and then in v multiplies it by 1 + L, where L, the Lebesgue constant of
  Chebyshev nodes, is below 3 for q <= 20; the two coordinates double it. So N sources, wherever they are,
  spoil S_i by no more than
      N E(q),    E(q) = 2 (1 + L) 2 (1/4)^q 1.0865 / sqrt(q!),
  and `_nodes` takes the least q that makes this small enough: 17 for N = 366,721.
* cut-off. Boxes more than K apart in a coordinate are left out; that neglects less than N exp(-K^2/2), and
  `_reach` takes the least K that makes this small enough: 9 for N = 366,721.
* rounding. Sums of terms of either sign, some of them larger than S_i: below 1e-11 for N = 366,721.

Points in boxes of very few points are compared with each other one by one, which is faster there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from skysy.errors import ModelError
from skysy.store import Warehouse

TOLERANCE = 3e-10
"""Greatest error of S_i relative to itself, so also of the logarithm."""

_DENSE = 8
"""Points that make it worth while to give a box an expansion (measured)."""

_BLOCK = 8192
"""Points handled at a time, so that their polynomials stay in the processor's cache."""

_BOXES = 20_000
"""Boxes whose expansions are held at a time, about."""

_PAIRS = 1 << 19
"""Pairs of points compared at a time."""

_Reals = NDArray[np.float64]
_Integers = NDArray[np.int64]


def log_density(x_mag: ArrayLike, y_mag: ArrayLike, bandwidth_mag: float = 0.1) -> _Reals:
    """ln of the Gaussian kernel density at each of N points in a plane, per mag^2, the point itself included.

    x_mag and y_mag hold N finite numbers each, in magnitudes; the result has their order and shape (N,). Each
    value is right to 1e-9. The same input gives the same bits whatever the number of threads: there is one.
    Raises ModelError for numbers that are not finite, for unequal lengths and for a bandwidth not above 0.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (x_mag, y_mag))
    _check(x, y, bandwidth_mag)
    n = len(x)
    if n == 0:
        return np.empty(0)
    x, y = x / bandwidth_mag, y / bandwidth_mag
    reach = _reach(n)
    column, row = _box_numbers(x, reach), _box_numbers(y, reach)
    stride = int(column.max()) + 1
    key = row * stride + column
    order = np.argsort(key, kind="stable")
    total = np.empty(n)
    total[order] = _kernel_sums(x[order], y[order], key[order], stride, reach, _nodes(n))
    return np.log(total) - math.log(n) - math.log(2 * math.pi * bandwidth_mag**2)


def engine(warehouse: Warehouse) -> pa.Table:
    """The model density_score: object_id and ln_density of all int_density__points, in order of object_id.

    The bandwidth is the variable kde_bandwidth_mag. Raises ModelError where it is not set or a colour is not
    finite.
    """
    bandwidth_mag = warehouse.value("SELECT CAST(getvariable('kde_bandwidth_mag') AS DOUBLE)")
    if bandwidth_mag is None:
        raise ModelError(
            "The parameter kde_bandwidth_mag is not set, so density_score has no bandwidth.",
            "Nothing was changed. Set it in sql/00_parameters.sql or with `--set kde_bandwidth_mag=0.1`.",
        )
    query = "SELECT object_id, ug_mag, uv_mag FROM int_density__points ORDER BY object_id"
    points: pa.Table = warehouse.con.sql(query).to_arrow_table()
    ln_density = log_density(points["ug_mag"].to_numpy(), points["uv_mag"].to_numpy(), bandwidth_mag)
    return pa.table({"object_id": points["object_id"].cast(pa.int64()), "ln_density": pa.array(ln_density)})


def _check(x: _Reals, y: _Reals, bandwidth_mag: float) -> None:
    if not (math.isfinite(bandwidth_mag) and bandwidth_mag > 0):
        raise ModelError(f"A bandwidth of {bandwidth_mag} mag is not positive.", "Set kde_bandwidth_mag to about 0.1.")
    if x.ndim != 1 or x.shape != y.shape:
        raise ModelError(f"The two colours have shapes {x.shape} and {y.shape}, not one length.")
    with np.errstate(over="ignore"):
        usable = np.isfinite(x / bandwidth_mag) & np.isfinite(y / bandwidth_mag)
    if not usable.all():
        first = int(np.argmin(usable))
        raise ModelError(
            f"{int(np.count_nonzero(~usable))} of {len(x)} points have a colour that is not a usable number; "
            f"the first is point {first} with ({x[first]}, {y[first]}).",
            "Nothing was changed. Leave objects without both colours out of int_density__points.",
        )


def _nodes(n: int) -> int:
    """The fewest nodes q per coordinate whose interpolation error N E(q) is small enough for n points."""
    q = 4
    while n * 2 * (1 + 3) * 2 * 0.25**q * 1.0865 / math.sqrt(math.factorial(q)) > TOLERANCE / 3:
        q += 1
    return q


def _reach(n: int) -> int:
    """The distance K in boxes beyond which n points together add too little to S_i to matter."""
    return math.ceil(math.sqrt(2 * math.log(3 * n / TOLERANCE)))


def _box_numbers(t: _Reals, reach: int) -> _Integers:
    """The box of unit side that each coordinate lies in, numbered from `reach` up.

    So a step of `reach` beyond the last column of a row does not meet a column of the next one. Empty
    stretches wider than the reach are shortened to just beyond it: far points have small numbers.
    """
    boxes, box = np.unique(np.floor(t), return_inverse=True)
    steps = np.minimum(np.diff(boxes, prepend=boxes[0]), reach + 1).astype(np.int64)
    return np.asarray(reach + np.cumsum(steps)[box], dtype=np.int64)


def _kernel_sums(x: _Reals, y: _Reals, key: _Integers, stride: int, reach: int, q: int) -> _Reals:
    """S_i of points sorted by the key (row * stride + column) of their box, lengths in units of h."""
    keys, first, box, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    first = np.append(first, len(key))
    is_dense = count >= _DENSE
    u, v = (2 * (t - np.floor(t)) - 1 for t in (x, y))
    matrices = _matrices(reach, q)
    total = np.empty(len(x))
    for here, near in _strips(keys // stride, reach):
        part = slice(first[near.start], first[near.stop])
        moments = _moments(u[part], v[part], box[part] - near.start, near.stop - near.start, q)
        dense_near, dense_here = is_dense[near], is_dense[here]
        coefficients = np.empty((here.stop - here.start, q, q))
        coefficients[dense_here] = _translate(keys[near], moments, keys[here][dense_here], stride, matrices)
        coefficients[~dense_here] = _translate(
            keys[near][dense_near], moments[dense_near], keys[here][~dense_here], stride, matrices
        )
        part = slice(first[here.start], first[here.stop])
        total[part] = _evaluate(u[part], v[part], box[part] - here.start, coefficients)
    alone = ~is_dense[box]
    total[alone] += _compare(x[alone], y[alone], key[alone], stride, reach)
    return total


def _strips(row: _Integers, reach: int) -> Iterator[tuple[slice, slice]]:
    """Runs of boxes in whole rows, each with the run of all boxes in reach: about _BOXES, to bound memory.

    `row` holds the row of each box in increasing order.
    """
    start = 0
    while start < len(row):
        near = int(np.searchsorted(row, row[start] - reach))
        stop = len(row)
        if near + _BOXES < stop:
            last = max(row[near + _BOXES] - reach, row[start])
            stop = int(np.searchsorted(row, last, side="right"))
        yield slice(start, stop), slice(near, int(np.searchsorted(row, row[stop - 1] + reach, side="right")))
        start = stop


def _chebyshev(u: _Reals, q: int) -> _Reals:
    """T_0 ... T_(q-1) at each u, shape (q, len(u))."""
    polynomials = np.empty((q, len(u)))
    polynomials[0] = 1
    polynomials[1] = u
    for a in range(2, q):
        np.multiply(polynomials[a - 1], 2 * u, out=polynomials[a])
        polynomials[a] -= polynomials[a - 2]
    return polynomials


def _matrices(reach: int, q: int) -> dict[int, _Reals]:
    """A_k for boxes k = -reach ... reach apart, target minus source, each of shape (q, q)."""
    angle = math.pi * (np.arange(q) + 0.5) / q
    to_coefficients = np.cos(np.outer(np.arange(q), angle)) * (2 / q)
    to_coefficients[0] /= 2
    difference = np.subtract.outer(np.cos(angle), np.cos(angle)) / 2
    return {
        k: np.einsum("ai,ij,bj->ab", to_coefficients, np.exp(-((k + difference) ** 2) / 2), to_coefficients)
        for k in range(-reach, reach + 1)
    }


def _moments(u: _Reals, v: _Reals, box: _Integers, n_boxes: int, q: int) -> _Reals:
    """sum_j T_a(u_j) T_b(v_j) of each box, shape (n_boxes, q, q)."""
    moments = np.zeros((n_boxes, q, q))
    for start in range(0, len(u), _BLOCK):
        part = slice(start, start + _BLOCK)
        in_x, in_y = _chebyshev(u[part], q), _chebyshev(v[part], q)
        first = np.flatnonzero(np.diff(box[part], prepend=-1))
        for a in range(q):
            moments[box[part][first], a] += np.add.reduceat(in_x[a] * in_y, first, axis=1).T
    return moments


def _evaluate(u: _Reals, v: _Reals, box: _Integers, coefficients: _Reals) -> _Reals:
    """The field at each point from the coefficients of its box."""
    q = coefficients.shape[1]
    field = np.empty(len(u))
    for start in range(0, len(u), _BLOCK):
        part = slice(start, start + _BLOCK)
        in_x, in_y = _chebyshev(u[part], q), _chebyshev(v[part], q)
        first, last = box[part][0], box[part][-1]
        rows = np.ascontiguousarray(coefficients[first : last + 1].transpose(1, 2, 0))
        along_y = [np.einsum("bi,bi->i", np.take(row, box[part] - first, axis=1), in_y) for row in rows]
        field[part] = np.einsum("ai,ai->i", in_x, np.stack(along_y))
    return field


def _translate(
    sources: _Integers, moments: _Reals, targets: _Integers, stride: int, matrices: dict[int, _Reals]
) -> _Reals:
    """Coefficients of the target boxes from the moments of the source boxes in reach: in x, then in y."""
    offsets = np.array(list(matrices))
    from_sources = np.unique(np.add.outer(sources, offsets))
    to_targets = np.unique(np.add.outer(targets, offsets * stride))
    between = np.intersect1d(from_sources, to_targets, assume_unique=True)
    along_x = _shift(sources, moments, between, 1, matrices, "ac,cbs->abs")
    return _shift(between, along_x, targets, stride, matrices, "bc,acs->abs")


def _shift(
    sources: _Integers,
    values: _Reals,
    targets: _Integers,
    step: int,
    matrices: dict[int, _Reals],
    product: str,
) -> _Reals:
    """Sum over k of A_k times the values of the source box k steps before each target box."""
    q = values.shape[1]
    shifted = np.zeros((len(targets), q, q))
    if len(sources) == 0:
        return shifted
    for start in range(0, len(targets), _BLOCK // q):
        block = slice(start, start + _BLOCK // q)
        for k, matrix in matrices.items():
            wanted = targets[block] - k * step
            place = np.minimum(np.searchsorted(sources, wanted), len(sources) - 1)
            found = np.flatnonzero(sources[place] == wanted)
            boxes_last = np.ascontiguousarray(values[place[found]].transpose(1, 2, 0))
            shifted[start + found] += np.einsum(product, matrix, boxes_last).transpose(2, 0, 1)
    return shifted


def _compare(x: _Reals, y: _Reals, key: _Integers, stride: int, reach: int) -> _Reals:
    """The kernel sums of points among themselves, pair by pair; the points are sorted by key."""
    total = np.zeros(len(x))
    for k in range(-reach, reach + 1):
        first = np.searchsorted(key, key + k * stride - reach, side="left")
        count = np.searchsorted(key, key + k * stride + reach, side="right") - first
        for part in _parts(count):
            target = np.repeat(np.arange(part.start, part.stop), count[part])
            before = np.cumsum(count[part]) - count[part]
            source = np.arange(len(target)) + np.repeat(first[part] - before, count[part])
            kernel = np.exp(((x[target] - x[source]) ** 2 + (y[target] - y[source]) ** 2) / -2)
            total[part] += np.bincount(target - part.start, kernel, part.stop - part.start)
    return total


def _parts(count: _Integers) -> list[slice]:
    """Runs of points that have about _PAIRS partners together."""
    ends = np.searchsorted(np.cumsum(count), np.arange(_PAIRS, int(count.sum()) + _PAIRS, _PAIRS), side="right")
    edges = np.unique(np.concatenate(([0], ends, [len(count)])))
    return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]
