"""Figure 3: the catalogue's u-g against that of single nights, and what a star's own variation does to the former."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from skysy.analysis.figures.marks import draw_candidates
from skysy.analysis.figures.marts import arrays, draw_crowd, frame, limit
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, say_beyond, say_empty

from skysy.store import Warehouse

# A range needs two nights. Rounded, since 1e-16 mag above or below a hexagon's edge is no difference.
_STARS = """
    (SELECT
        s.object_id,
        c.ug_mag AS snapshot_mag,
        round(s.u_psf - s.g_psf, 9) AS catalogue_mag,
        round(s.u_psf - s.g_psf - c.ug_mag, 9) AS residual_mag,
        CASE WHEN n.nights > 1 THEN round(n.faintest - n.brightest, 9) END AS range_mag
    FROM sample AS s
    JOIN colours AS c ON s.object_id = c.object_id
    JOIN (
        SELECT object_id, count(u_mag) AS nights, max(u_mag) AS faintest, min(u_mag) AS brightest
        FROM nightly_colours
        GROUP BY object_id
    ) AS n ON s.object_id = n.object_id)
"""


def figure_catalogue(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Catalogue u-g against snapshot u-g, and their difference against the range of the object's nightly u.

    The catalogue's u and g are means over different nights, so that a star that changes has a colour that it never
    had; u and g of one night are free of that (Lucy et al. 2024, abstract). The right panel counts the objects
    whose two colours differ by more than the bandwidth of the density score, kde_bandwidth_mag.
    """
    columns = "snapshot_mag, catalogue_mag, residual_mag, range_mag"
    stars = arrays(warehouse, f"SELECT {columns} FROM {_STARS} WHERE isfinite(residual_mag) ORDER BY ALL")
    chosen = arrays(
        warehouse,
        f"SELECT {columns} FROM candidates AS c JOIN {_STARS} AS s ON c.object_id = s.object_id ORDER BY c.rank",
    )
    with canvas(theme, height_in=4.2) as figure:
        left, right = figure.subplots(1, 2)
        left.set_xlabel("snapshot $u-g$  (mag)")
        left.set_ylabel("catalogue $u-g$  (mag)")
        right.set_xlabel("range of nightly $u$  (mag)")
        right.set_ylabel("catalogue − snapshot $u-g$  (mag)")
        view = frame(warehouse, _STARS, "snapshot_mag", "catalogue_mag")
        if view is None:
            say_empty(left, theme, "no rows: no sample object\nhas both colours")
        else:
            draw_crowd(left, warehouse, _STARS, "snapshot_mag", "catalogue_mag", view, theme, across=44, rows=26)
            ends = [max(view.x[0], view.y[0]), min(view.x[1], view.y[1])]
            left.plot(ends, ends, color=theme.limit, lw=1.0, ls="--", label="equal")
            draw_candidates(left, chosen["snapshot_mag"], chosen["catalogue_mag"], theme)
            say_beyond(left, theme, view.beyond(chosen["snapshot_mag"], chosen["catalogue_mag"]))
            legend_below(figure, left, columns=2)
        view = frame(warehouse, _STARS, "range_mag", "residual_mag")
        if view is None:
            say_empty(right, theme, "no rows: no sample object was\nseen in u in two nights")
            return figure
        draw_crowd(right, warehouse, _STARS, "range_mag", "residual_mag", view, theme, across=44, rows=26)
        right.axhline(0, color=theme.limit, lw=1.0, ls="--")
        draw_candidates(right, chosen["range_mag"], chosen["residual_mag"], theme)
        bandwidth_mag = limit(warehouse, "kde_bandwidth_mag")
        if bandwidth_mag is not None:
            off = int(np.sum(np.abs(stars["residual_mag"]) > bandwidth_mag))
            right.set_title(f"{off:,} of {len(stars['residual_mag']):,} are off by over {bandwidth_mag:g} mag")
    return figure
