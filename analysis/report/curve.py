"""Light curves as small inline SVG: a few kilobytes each, coloured by the page, so that thousands stay light.

Three panels lie one under the other, u, v and g, bright at the top, and span as many magnitudes each. Marks tell the
band by colour and by shape, are filled inside colour sequences and hollow outside, and say their value when pointed at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

BANDS = ("u", "v", "g")
MOST_SEQUENCES = 6
"""Sequences drawn of one object; the table of measurements has the others."""

_MINUTES_PER_DAY = 1440.0
_PANEL, _GAP, _TOP, _BOTTOM, _LEFT, _RIGHT = 84, 8, 6, 34, 62, 14
"""Heights of a panel and of the space between two, and margins, in user units: CSS pixels at natural size."""


@dataclass(frozen=True)
class Point:
    """A measurement: start as MJD in UTC, PSF magnitude and the archive's error (AB), where it belongs."""

    band: str
    date_mjd: float
    mag: float
    e_mag: float
    image_id: int
    night_mjd: int
    exp_time_s: float | None
    image_type: str | None
    sequence_id: int | None
    is_in_mean: bool


@dataclass(frozen=True)
class Pair:
    """The winning pair of an object's rapid delta-u sigma."""

    sequence_id: int
    image_ids: tuple[int, int]
    sigma: float
    delta_u_mag: float


@dataclass(frozen=True)
class Drawing:
    """An SVG picture and the words over it."""

    title: str
    svg: Markup


def draw_nights(points: Sequence[Point], width: int = 640) -> Drawing:
    """All u, v and g measurements against MJD."""
    shown = [point for point in points if point.band in BANDS and math.isfinite(point.date_mjd)]
    offset = math.floor(min((point.date_mjd for point in shown), default=0.0) / 100) * 100
    days = [point.date_mjd - offset for point in shown]
    low, high = min(days, default=0.0), max(days, default=1.0)
    edge = max(0.04 * (high - low), 0.02)
    nights = len({point.night_mjd for point in shown})
    label = f"Light curve: {len(shown)} measurements in u, v and g in {nights} {'night' if nights == 1 else 'nights'}."
    svg = _draw(shown, days, (low - edge, high + edge), f"MJD − {offset} (d)", label, width, None)
    return Drawing("All nights", svg)


def draw_sequence(points: Sequence[Point], sequence_id: int, pair: Pair | None, width: int = 300) -> Drawing:
    """The minutes of one colour sequence; the pair, if it lies in this sequence, is joined by a line."""
    inside = [point for point in points if point.sequence_id == sequence_id and point.band in BANDS]
    start_mjd = min((point.date_mjd for point in inside), default=0.0)
    minutes = [(point.date_mjd - start_mjd) * _MINUTES_PER_DAY for point in inside]
    joined = pair if pair is not None and pair.sequence_id == sequence_id else None
    label = f"Colour sequence of MJD {start_mjd:.3f}: {len(inside)} measurements in u, v and g."
    title = f"MJD {start_mjd:.3f}"
    if joined:
        title += f": Δu {joined.delta_u_mag:.3f} mag, {joined.sigma:.1f} σ"
        label += f" Between two of them u differs by {joined.delta_u_mag:.3f} mag."
    reach = (-1.0, max(20.0, max(minutes, default=0.0)) + 1)
    return Drawing(title, _draw(inside, minutes, reach, "minutes", label, width, joined))


def sequences_of(points: Sequence[Point], pair: Pair | None) -> list[int]:
    """Sequences that have a u exposure, that of the pair first, then in order of time."""
    found = list(dict.fromkeys(one.sequence_id for one in points if one.sequence_id is not None and one.band == "u"))
    if pair is not None and pair.sequence_id in found:
        found.remove(pair.sequence_id)
        found.insert(0, pair.sequence_id)
    return found


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within a range: steps of 1, 2 or 5 times a power of ten, `most` of them at most."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(size * power for size in (1, 2, 5, 10, 20) if (high - low) / (size * power) < most)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _draw(
    points: Sequence[Point],
    x: Sequence[float],
    x_range: tuple[float, float],
    x_label: str,
    label: str,
    width: int,
    joined: Pair | None,
) -> Markup:
    """The picture; all numbers and words in it are made here, so that nothing needs to be escaped."""
    height = _TOP + 3 * _PANEL + 2 * _GAP + _BOTTOM
    scale_x = (width - _LEFT - _RIGHT) / (x_range[1] - x_range[0])
    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{label}">']
    span = _span(points)
    marks = [(_LEFT + (at - x_range[0]) * scale_x, point) for at, point in zip(x, points, strict=True)]
    x_ticks = [(_LEFT + (tick - x_range[0]) * scale_x, tick) for tick in ticks(*x_range, max(width // 90, 3))]
    for place, band in enumerate(BANDS):
        top = _TOP + place * (_PANEL + _GAP)
        chosen = [(at, point) for at, point in marks if point.band == band]
        parts.append(
            f'<g class="{band}"><rect x="{_LEFT}" y="{top}" width="{width - _LEFT - _RIGHT}" height="{_PANEL}"/>'
        )
        parts.append(f'<text class="b" x="2" y="{top + _PANEL // 2 + 4}">{band}</text>')
        parts += [f'<path class="t" d="M{at:.1f} {top + _PANEL}v-4"/>' for at, _ in x_ticks]
        if chosen:
            parts += _panel(chosen, top, span, joined)
        else:
            parts.append(
                f'<text x="{width // 2}" y="{top + _PANEL // 2 + 4}" text-anchor="middle">no measurement</text>'
            )
        parts.append("</g>")
    foot = height - _BOTTOM
    for at, tick in x_ticks:
        parts.append(f'<text x="{at:.1f}" y="{foot + 14}" text-anchor="middle">{_plain(tick)}</text>')
    parts.append(
        f'<text x="{(width + _LEFT - _RIGHT) // 2}" y="{foot + 29}" text-anchor="middle">{x_label}</text></svg>'
    )
    return Markup("".join(parts))


def _panel(chosen: Sequence[tuple[float, Point]], top: int, span: float, joined: Pair | None) -> list[str]:
    """Ticks, the joining line, and a mark with its error bar for each measurement of one band."""
    bright = min(point.mag - point.e_mag for _, point in chosen)
    faint = max(point.mag + point.e_mag for _, point in chosen)
    first = (bright + faint - span) / 2
    scale = _PANEL / span

    def down(mag: float) -> float:
        return top + (mag - first) * scale

    parts = []
    marked = ticks(first + 0.06 * span, first + 0.94 * span, 4)
    decimals = max(len(_plain(tick).partition(".")[2]) for tick in marked)
    for tick in marked:
        y = down(tick)
        parts.append(f'<path class="t" d="M{_LEFT} {y:.1f}h4"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:.{decimals}f}</text>')
    ends = [f"{at:.1f} {down(one.mag):.1f}" for at, one in chosen if joined and one.image_id in joined.image_ids]
    if ends:
        parts.append(f'<path class="j" d="M{"L".join(ends)}"/>')
    for at, point in chosen:
        y, half = down(point.mag), point.e_mag * scale
        parts.append(
            f"<g{'' if point.sequence_id is None else ' class=s'}><title>{point.band} {point.mag:.3f} ± {point.e_mag:.3f} mag, "
            f'MJD {point.date_mjd:.5f}</title><path d="M{at:.1f} {y - half:.1f}v{2 * half:.1f}{_mark(point.band, at, y)}"/></g>'
        )
    return parts


def _mark(band: str, x: float, y: float) -> str:
    """A circle, square or triangle round a place, as the rest of a path."""
    if band == "u":
        return f"M{x - 3:.1f} {y:.1f}a3 3 0 1 0 6 0a3 3 0 1 0-6 0z"
    if band == "v":
        return f"M{x - 2.7:.1f} {y - 2.7:.1f}h5.4v5.4h-5.4z"
    return f"M{x:.1f} {y - 3.5:.1f}l3.3 6h-6.6z"


def _span(points: Sequence[Point]) -> float:
    """Magnitudes that a panel shows: those of the band that needs most, and a quarter more."""
    needed = [0.02]
    for band in BANDS:
        ends = [(point.mag - point.e_mag, point.mag + point.e_mag) for point in points if point.band == band]
        if ends:
            needed.append(max(high for _, high in ends) - min(low for low, _ in ends))
    return 1.25 * max(needed)


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
