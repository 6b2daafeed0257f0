"""Flickering in TESS light curves on a candidate's page: the table's rows, and a drawing of light curve and power spectrum each.

The drawings are inline SVG as those of curve.py are. Bins lie a sector in two panels: flux with its trend, then the power density
on logarithmic axes, thin as it is and thick averaged over tenths of a decade, with the band of the measure shaded, the level of
white noise and, where the star was compared, the mean density that the giants' median variance is.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from skysy.analysis.report.curve import Drawing, ticks

from skysy.store import Warehouse

MOST_DRAWN = 4
"""Sectors that are drawn of one object; the table has all."""

_WIDTH, _PANEL, _TOP, _BETWEEN, _BOTTOM, _LEFT, _RIGHT = 640, 120, 6, 44, 36, 62, 14
"""Widths, heights and margins in user units: CSS pixels at natural size."""

_MEASURES = (
    "sector", "method", "pipeline", "flux_column", "tess_mag", "n_bins", "cadence_s", "span_d", "rms_ppm", "white_ppm2_uhz", "band_to_white",
    "flicker_rms_ppm", "flicker_var_ppm2", "flicker_var_err_ppm2", "n_giants", "giants_var_ppm2", "ratio", "p_rank", "comparison", "cautions",
)  # fmt: skip


@dataclass(frozen=True)
class Sector:
    """A row of the table `flickering` by column, with bins (time [BTJD, d], flux, trend [ppm]; None: clipped) and spectrum ([uHz], [ppm^2/uHz]).

    Only the first MOST_DRAWN sectors of an object have bins and spectrum.
    """

    row: dict[str, Any]
    bins: list[tuple[float, float, float | None]]
    spectrum: list[tuple[float, float]]
    band_uhz: tuple[float, float]

    @property
    def significance(self) -> float | None:
        """Variance above white noise in units of its error."""
        variance, error = self.row["flicker_var_ppm2"], self.row["flicker_var_err_ppm2"]
        return variance / error if variance is not None and error else None


def flickering_of(warehouse: Warehouse, ids: Sequence[int]) -> dict[int, list[Sector]]:
    """The sectors of each object, in order; none for a warehouse that was built before there were any."""
    found: dict[int, list[Sector]] = defaultdict(list)
    if not warehouse.columns("main", "flickering"):
        return found
    asked = "SEMI JOIN (SELECT unnest(CAST(? AS BIGINT[])) AS object_id) AS a USING (object_id)"
    rows = warehouse.rows(f"SELECT object_id, {', '.join(_MEASURES)} FROM flickering {asked} ORDER BY ALL", [ids])
    if not rows:
        return found
    value = warehouse.value("SELECT value FROM meta.parameter WHERE name = 'tess_band_uhz'")
    low, high = json.loads(str(value or "[50, 200]"))
    drawn = [row[:2] for place, row in enumerate(rows) if place < MOST_DRAWN or rows[place - MOST_DRAWN][0] != row[0]]
    bins = _points(warehouse, "time_btjd, flux_ppm, trend_ppm", "int_flickering__bins", drawn)
    spectra = _points(warehouse, "frequency_uhz, power_ppm2_uhz", "int_flickering__spectra", drawn)
    for object_id, *values in rows:
        row = dict(zip(_MEASURES, values, strict=True))
        place = object_id, row["sector"]
        found[object_id].append(Sector(row, bins[place], spectra[place], (float(low), float(high))))
    return found


def _points(warehouse: Warehouse, columns: str, table: str, drawn: Sequence[Any]) -> dict[tuple[int, int], list[Any]]:
    """Rows of a table by object and sector, of those that are drawn."""
    found: dict[tuple[int, int], list[Any]] = defaultdict(list)
    ids, sectors = ([one[place] for one in drawn] for place in (0, 1))
    for object_id, sector, *values in warehouse.rows(
        f"SELECT object_id, sector, {columns} FROM {table} SEMI JOIN (SELECT unnest(CAST(? AS BIGINT[])) AS object_id, "
        "unnest(CAST(? AS INTEGER[])) AS sector) AS a USING (object_id, sector) ORDER BY ALL",
        [ids, sectors],
    ):
        found[object_id, sector].append(tuple(values))
    return found


def draw_sector(one: Sector) -> Drawing:
    """Light curve and power spectrum of a sector that has bins."""
    height = _TOP + _PANEL + _BETWEEN + _PANEL + _BOTTOM
    label = f"TESS sector {one.row['sector']}: {len(one.bins)} bins with their trend, and the power density of what is left."
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" aria-label="{label}">'
    ]
    parts += _light_curve(one, _TOP)
    if any(power > 0 for _, power in one.spectrum):
        parts += _spectrum(one, _TOP + _PANEL + _BETWEEN)
    rms = one.row["flicker_rms_ppm"]
    title = f"Sector {one.row['sector']}" + (
        "" if rms is None else f": {rms:.0f} ppm rms above white noise in the band"
    )
    return Drawing(title, Markup("".join([*parts, "</svg>"])))


def _frame(top: int) -> str:
    return f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT - _RIGHT}" height="{_PANEL}"/>'


def _axes(top: int, x: list[tuple[float, str]], y: list[tuple[float, str]], x_label: str, y_label: str) -> list[str]:
    """Ticks at places of the page with their words, and what the axes are."""
    foot = top + _PANEL
    parts = []
    for at, word in x:
        parts.append(
            f'<path class="t" d="M{at:.1f} {foot}v-4"/><text x="{at:.1f}" y="{foot + 14}" text-anchor="middle">{word}</text>'
        )
    for at, word in y:
        parts.append(
            f'<path class="t" d="M{_LEFT} {at:.1f}h4"/><text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{word}</text>'
        )
    middle = (_WIDTH + _LEFT - _RIGHT) // 2
    parts.append(f'<text x="{middle}" y="{foot + 29}" text-anchor="middle">{x_label}</text>')
    parts.append(
        f'<text transform="translate(11 {top + _PANEL // 2}) rotate(-90)" text-anchor="middle">{y_label}</text>'
    )
    return parts


def _light_curve(one: Sector, top: int) -> list[str]:
    times, fluxes = [bin[0] for bin in one.bins], sorted(bin[1] for bin in one.bins)
    first, last = min(times), max(times)
    low, high = fluxes[len(fluxes) // 200], fluxes[-1 - len(fluxes) // 200]
    low, high = low - 0.15 * (high - low) - 1, high + 0.15 * (high - low) + 1

    def across(time: float) -> float:
        return _LEFT + 4 + (time - first) / (last - first or 1) * (_WIDTH - _LEFT - _RIGHT - 8)

    def down(ppm: float) -> float:
        return top + _PANEL * (1 - (min(max(ppm, low), high) - low) / (high - low))

    dots = "".join(f"M{across(time):.1f} {down(flux):.1f}h0" for time, flux, _ in one.bins)
    line, before = [], -math.inf
    for time, _, trend in one.bins:
        if trend is not None:
            line.append(f"{'M' if time - before > 0.1 else 'L'}{across(time):.1f} {down(trend):.1f}")
            before = time
    return [
        _frame(top),
        f'<path class="dots" d="{dots}"/><path class="j" d="{"".join(line)}"/>',
        *_axes(
            top,
            [(across(tick), f"{tick:g}") for tick in ticks(first, last, 7)],
            [(down(tick), _signed(tick)) for tick in ticks(low, high, 4)],
            "BJD − 2457000 (d)",
            "flux (ppm)",
        ),
    ]  # fmt: skip


def _spectrum(one: Sector, top: int) -> list[str]:
    points = [(math.log10(f), math.log10(p)) for f, p in one.spectrum if p > 0]
    smooth = _averaged(one.spectrum)
    first, last = points[0][0], points[-1][0]
    levels = sorted(y for _, y in points)
    low = math.floor(levels[len(levels) // 20])
    high = max(math.ceil(max(levels)), low + 1)

    def across(x: float) -> float:
        return _LEFT + (x - first) / (last - first or 1) * (_WIDTH - _LEFT - _RIGHT)

    def down(y: float) -> float:
        return top + _PANEL * (1 - (min(max(y, low), high) - low) / (high - low))

    def path(of: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{across(x):.1f} {down(y):.1f}" for x, y in of)

    def level(density: float | None, name: str) -> list[str]:
        if density is None or density <= 0:
            return []
        return [f'<path class="{name}" d="M{_LEFT} {down(math.log10(density)):.1f}H{_WIDTH - _RIGHT}"/>']

    left, right = (across(min(max(math.log10(f), first), last)) for f in one.band_uhz)
    white, giants = one.row["white_ppm2_uhz"], one.row["giants_var_ppm2"]
    width = one.band_uhz[1] - one.band_uhz[0]
    return [
        f'<rect class="band" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{_PANEL}"/>',
        _frame(top),
        f'<path class="thin" d="{path(points)}"/><path class="thick" d="{path(smooth)}"/>',
        *level(white, "white"),
        *level(None if giants is None or white is None else white + max(giants, 0) / width, "giants"),
        *_axes(
            top,
            [(across(math.log10(f)), f"{f}") for f in (1, 2, 5, 10, 20, 50, 100, 200) if first <= math.log10(f) <= last],
            [(down(y), f"10<tspan dy='-4' font-size='8'>{y}</tspan>".replace("-", "−").replace("dy='−", "dy='-")) for y in range(low, high + 1)],
            "frequency (µHz)",
            "ppm² / µHz",
        ),
    ]  # fmt: skip


def _averaged(spectrum: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Mean power density over tenths of a decade of frequency, as logarithms."""
    groups = defaultdict(list)
    for frequency, power in spectrum:
        groups[math.floor(10 * math.log10(frequency))].append((frequency, power))
    means = [
        (sum(f for f, _ in one) / len(one), sum(p for _, p in one) / len(one)) for _, one in sorted(groups.items())
    ]
    return [(math.log10(frequency), math.log10(power)) for frequency, power in means if power > 0]


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "−")
