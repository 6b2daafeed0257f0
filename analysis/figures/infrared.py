"""Figure 8: the infrared colours of the sample, the axes on which dusty and dust-free symbiotic stars part."""

from __future__ import annotations

from matplotlib.figure import Figure
from skysy.analysis.figures.marks import draw_candidates, draw_known
from skysy.analysis.figures.marts import arrays, draw_crowd, frame
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, say_beyond, say_empty

from skysy.store import Warehouse

# 2MASS gives thousandths of a magnitude, AllWISE too.
_STARS = """
    (SELECT
        object_id,
        round(j_m - h_m, 3) AS jh_mag,
        round(w1mpro - w2mpro, 3) AS w1w2_mag,
        round(k_m - w2mpro, 3) AS kw2_mag
    FROM sample)
"""


def figure_infrared(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """J-H against W1-W2 and against Ks-W2 of the sample, not corrected for reddening; candidates and known objects over it.

    After the infrared search of Akras et al. 2019, MNRAS 483, 5077, of whose axes these need no W3 and W4.
    """
    chosen, known = (
        arrays(
            warehouse,
            f"SELECT s.jh_mag, s.w1w2_mag, s.kw2_mag FROM {_STARS} AS s "
            f"SEMI JOIN {names} AS c ON s.object_id = c.object_id ORDER BY ALL",
        )
        for names in ("candidates", "stg_known__objects")
    )
    with canvas(theme, height_in=4.2) as figure:
        panels = figure.subplots(1, 2)
        for axes, column, label in zip(
            panels, ("w1w2_mag", "kw2_mag"), ("$W1-W2$  (mag)", "$K_s-W2$  (mag)"), strict=True
        ):
            axes.set_xlabel(label)
            axes.set_ylabel("$J-H$  (mag)")
            view = frame(warehouse, _STARS, column, "jh_mag")
            if view is None:
                say_empty(axes, theme, "no rows: no sample object\nhas these colours")
                continue
            draw_crowd(axes, warehouse, _STARS, column, "jh_mag", view, theme, across=44, rows=26)
            draw_candidates(axes, chosen[column], chosen["jh_mag"], theme)
            draw_known(axes, known[column], known["jh_mag"], theme)
            say_beyond(axes, theme, view.beyond(chosen[column], chosen["jh_mag"]))
        legend_below(figure, panels[0], columns=2)
    return figure
