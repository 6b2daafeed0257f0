"""Figure 6: the light curve of one object, night by night and inside its colour sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from skysy.analysis.figures.style import LIGHT, Theme, canvas, say_empty

from skysy.store import Warehouse

_BANDS = ("u", "v", "g")
_MARKERS = ("o", "s", "^")
_MINUTES_PER_DAY = 1440.0

_MEASUREMENTS = """
    SELECT filter, date, mag_psf, e_mag_psf, image_id, sequence_id
    FROM measurements
    WHERE object_id = ? AND filter IN ('u', 'v', 'g') AND isfinite(date)
    ORDER BY date, image_id
"""


@dataclass(frozen=True)
class _Point:
    """One measurement: start as MJD in UTC, magnitude and its error, exposure and sequence."""

    band: str
    date_mjd: float
    mag: float
    e_mag: float
    image_id: int
    sequence_id: int | None


@dataclass(frozen=True)
class _Pair:
    """The winning pair of an object's rapid delta-u sigma."""

    sequence_id: int
    image_ids: tuple[int, int]
    sigma: float
    delta_u_mag: float


def figure_light_curve(warehouse: Warehouse, object_id: int, theme: Theme = LIGHT) -> Figure:
    """u, v and g of an object with the archive's errors: all nights, then the minutes of two colour sequences.

    The sequence of the object's rapid delta-u sigma comes first, its winning pair joined by a line; the other is
    the next in time. Within a column all bands have one scale. Points outside colour sequences are hollow.
    """
    points = [_Point(*row) for row in warehouse.rows(_MEASUREMENTS, [object_id])]
    pair = _winning_pair(warehouse, object_id)
    sequences = _sequences(points, pair)
    with canvas(theme, height_in=4.6, layout=None) as figure:
        figure.suptitle(
            f"object {object_id}   (filled: in a colour sequence, hollow: other exposures)",
            x=0.01,
            ha="left",
            fontsize=9.5,
        )
        if not points:
            say_empty(figure.add_subplot(), theme, "no rows: no u, v or g measurement counts")
            return figure
        widths = [1.5] + [1.0] * len(sequences)
        figure.subplots_adjust(left=0.105, right=0.975, bottom=0.11, top=0.88, wspace=0.32, hspace=0.14)
        grid = figure.subplots(3, len(widths), sharex="col", squeeze=False, width_ratios=widths)
        for axes in grid.flat:
            axes.minorticks_off()
            axes.ticklabel_format(useOffset=False)
        offset = math.floor(points[0].date_mjd / 100) * 100
        _draw_column(list(grid[:, 0]), points, [point.date_mjd - offset for point in points], theme)
        grid[2, 0].set_xlabel(f"MJD − {offset}  (d)")
        grid[0, 0].set_title("all nights")
        for band, axes in zip(_BANDS, grid[:, 0], strict=True):
            axes.set_ylabel(f"${band}$  (mag, AB)")
            axes.yaxis.set_label_coords(-0.21, 0.5)
        for place, sequence_id in enumerate(sequences, start=1):
            _draw_sequence(list(grid[:, place]), points, sequence_id, pair, theme)
    return figure


def _winning_pair(warehouse: Warehouse, object_id: int) -> _Pair | None:
    rows = warehouse.rows(
        "SELECT sequence_id, image_id_i, image_id_j, rapid_u_sigma, delta_u_mag FROM rapid_variability "
        "WHERE object_id = ?",
        [object_id],
    )
    return _Pair(rows[0][0], (rows[0][1], rows[0][2]), rows[0][3], rows[0][4]) if rows else None


def _sequences(points: Sequence[_Point], pair: _Pair | None) -> list[int]:
    """The sequence of the winning pair and the next one in time that has a u exposure; at most two."""
    found = list(dict.fromkeys(one.sequence_id for one in points if one.sequence_id is not None and one.band == "u"))
    if pair is not None and pair.sequence_id in found:
        found.remove(pair.sequence_id)
        found.insert(0, pair.sequence_id)
    return found[:2]


def _draw_sequence(
    column: Sequence[Axes], points: Sequence[_Point], sequence_id: int, pair: _Pair | None, theme: Theme
) -> None:
    inside = [point for point in points if point.sequence_id == sequence_id]
    start_mjd = min(point.date_mjd for point in inside if point.band == "u")
    minutes = [(point.date_mjd - start_mjd) * _MINUTES_PER_DAY for point in inside]
    _draw_column(column, inside, minutes, theme)
    column[-1].set_xlabel(f"min after MJD {start_mjd:.3f}")
    column[-1].set_xlim(min(*minutes, 0) - 1, max(*minutes, 20) + 1)
    column[0].set_title("another sequence" if pair else "a colour sequence")
    if pair is None or pair.sequence_id != sequence_id:
        return
    ends = [
        (minute, point.mag) for minute, point in zip(minutes, inside, strict=True) if point.image_id in pair.image_ids
    ]
    column[0].plot(*zip(*ends, strict=True), color=theme.limit, lw=1.2, zorder=1)
    column[0].set_title(f"$\\Delta u$ {pair.delta_u_mag:.3f} mag, {pair.sigma:.1f} σ")


def _draw_column(column: Sequence[Axes], points: Sequence[_Point], x: Sequence[float], theme: Theme) -> None:
    """One panel a band, all of the same height in magnitudes, bright at the top."""
    spans = {}
    for band in _BANDS:
        bright = [point.mag - point.e_mag for point in points if point.band == band]
        faint = [point.mag + point.e_mag for point in points if point.band == band]
        spans[band] = (min(bright), max(faint)) if bright else (0.0, 0.0)
    height_mag = 1.25 * max(0.02, *(high - low for low, high in spans.values()))
    for axes, band, marker, colour in zip(column, _BANDS, _MARKERS, theme.bands, strict=True):
        chosen = [(at, point) for at, point in zip(x, points, strict=True) if point.band == band]
        if not chosen:
            axes.set_yticks([])
            say_empty(axes, theme, f"no {band} measurement")
            continue
        for in_sequence, face in ((True, colour), (False, theme.paper)):
            part = [(at, point) for at, point in chosen if (point.sequence_id is not None) == in_sequence]
            axes.errorbar(
                [at for at, _ in part],
                [point.mag for _, point in part],
                [point.e_mag for _, point in part],
                fmt=marker,
                ms=4.5,
                color=colour,
                mfc=face,
                mew=1.0,
                elinewidth=0.9,
                capsize=0,
            )
        middle = sum(spans[band]) / 2
        axes.set_ylim(middle + height_mag / 2, middle - height_mag / 2)
