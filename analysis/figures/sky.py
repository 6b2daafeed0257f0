"""Figure 7: where on the sky the sample and the candidates lie, and where Main Survey sequences could show them flicker."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from skysy.analysis.figures.marks import dot_size, draw_candidates
from skysy.analysis.figures.marts import Reals, arrays
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, plain_counts, say_empty

from skysy.store import Warehouse

COLUMNS, ROWS = 120, 60
"""Cells along right ascension, and along the sine of declination: all of one area, 5.7 square degrees."""

_POLE_DEG = (192.85948, 27.12825)
"""North Galactic pole, ICRS: ESA 1997, The Hipparcos and Tycho Catalogues, volume 1, section 1.5.3."""

_CELLS = f"""
    SELECT
        least(floor(raj2000 * {COLUMNS} / 360), {COLUMNS - 1}) AS i,
        least(floor((sin(radians(dej2000)) + 1) * {ROWS} / 2), {ROWS - 1}) AS j,
        count(*) AS n
    FROM sample
    WHERE raj2000 BETWEEN 0 AND 360 AND dej2000 BETWEEN -90 AND 90
    GROUP BY ALL
    ORDER BY ALL
"""

# A field's place is the mean direction of the sample stars whose best sequence lies in it, since archives give pointings in
# different units. Directions are summed in whole 1e-9, so that the order of rows does not matter.
_FIELDS = """
    WITH directions AS (
        SELECT
            q.field_id,
            cos(radians(s.dej2000)) * cos(radians(s.raj2000)) AS x,
            cos(radians(s.dej2000)) * sin(radians(s.raj2000)) AS y,
            sin(radians(s.dej2000)) AS z
        FROM sample AS s
        JOIN rapid_variability AS r ON s.object_id = r.object_id
        JOIN sequences AS q ON r.sequence_id = q.sequence_id
        WHERE q.field_id IS NOT NULL
    ),
    summed AS (
        SELECT
            field_id,
            CAST(sum(CAST(round(x * 1e9) AS HUGEINT)) AS DOUBLE) AS x,
            CAST(sum(CAST(round(y * 1e9) AS HUGEINT)) AS DOUBLE) AS y,
            CAST(sum(CAST(round(z * 1e9) AS HUGEINT)) AS DOUBLE) AS z
        FROM directions
        GROUP BY field_id
    )
    SELECT field_id, degrees(atan2(y, x)) AS ra_deg, degrees(atan2(z, sqrt(x * x + y * y))) AS dec_deg
    FROM summed
    ORDER BY field_id
"""


def on_map(ra_deg: Reals, dec_deg: Reals) -> tuple[Reals, Reals]:
    """Places on the map in radians: 0 h in the middle, right ascension growing to the left."""
    return -np.radians((np.asarray(ra_deg) + 180) % 360 - 180), np.radians(np.asarray(dec_deg))


def galactic_plane(ra_deg: Reals) -> Reals:
    """Declination of the Galactic plane at these right ascensions, in degrees: tan dec = -cos(ra - pole) / tan(pole)."""
    pole_ra, pole_dec = np.radians(_POLE_DEG)
    plane: Reals = np.degrees(np.arctan(-np.cos(np.radians(ra_deg) - pole_ra) / math.tan(pole_dec)))
    return plane


def figure_sky(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Mollweide map of the sample in cells of equal area, fields with Main Survey sequences, candidates over it.

    Right ascension grows to the left, as seen from inside. Fields are those in which a sample object has its best
    sequence; a square stands at the mean direction of these objects and is not as large as the field.
    """
    cells = arrays(warehouse, _CELLS)
    with canvas(theme, height_in=4.6) as figure:
        axes = figure.add_subplot(projection="mollweide")
        axes.set_xticks(np.radians(np.arange(-150, 180, 30)))
        axes.set_xticklabels([f"{-hours % 24} h" for hours in range(-10, 12, 2)], fontsize=7.5)
        axes.tick_params(axis="y", labelsize=7.5)
        axes.grid(color=theme.muted, lw=0.3, alpha=0.6)
        if not len(cells["n"]):
            say_empty(axes, theme, "no rows: the sample is empty")
            return figure
        field = np.full((ROWS, COLUMNS), np.nan)
        field[cells["j"].astype(int), (COLUMNS // 2 - 1 - cells["i"].astype(int)) % COLUMNS] = cells["n"]
        crowd = axes.pcolormesh(
            np.linspace(-math.pi, math.pi, COLUMNS + 1),
            np.arcsin(np.linspace(-1, 1, ROWS + 1)),
            np.ma.masked_invalid(field),
            cmap=theme.crowd_map,
            norm=LogNorm(1, max(float(cells["n"].max()), 10)),
            zorder=1,
        )
        figure.colorbar(
            crowd, ax=axes, label="sample objects per 5.7 square degrees", pad=0.03, shrink=0.75, format=plain_counts
        )
        around = np.linspace(180, -180, 361)
        x, y = on_map(around, galactic_plane(around))
        order = np.argsort(x, kind="stable")
        axes.plot(x[order], y[order], color=theme.muted, lw=0.9, ls="--", zorder=2, label="Galactic plane")
        fields = arrays(warehouse, _FIELDS)
        axes.plot(
            *on_map(fields["ra_deg"], fields["dec_deg"]),
            "s",
            ms=0.75 * dot_size(len(fields["ra_deg"])),
            mfc="none",
            mec=theme.bands[0],
            mew=0.6 if len(fields["ra_deg"]) <= 1000 else 0.3,
            zorder=3,
            label=f"fields with Main sequences ({len(fields['ra_deg']):,})",
        )
        chosen = arrays(warehouse, "SELECT raj2000, dej2000 FROM candidates ORDER BY rank")
        draw_candidates(axes, *on_map(chosen["raj2000"], chosen["dej2000"]), theme)
        legend_below(figure, axes, columns=3)
    return figure
