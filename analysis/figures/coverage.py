"""Figure 10: in how many nights and colour sequences the sample was seen."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from skysy.analysis.figures.style import LIGHT, Theme, canvas, legend_below, plain_counts, say_empty

from skysy.store import Warehouse

MOST = 25
"""Greater numbers stand together in the last bar."""

_COUNTS = """
    SELECT least(coalesce(t.{column}, 0), ?) AS n, count(*) AS objects, count(c.object_id) AS candidates
    FROM sample AS s
    LEFT JOIN {table} AS t ON s.object_id = t.object_id
    LEFT JOIN candidates AS c ON s.object_id = c.object_id
    GROUP BY ALL
    ORDER BY ALL
"""
_PANELS = (
    ("colours", "n_nights_ug", "nights with $u$ and $g$"),
    ("colours", "n_nights_uv", "nights with $u$ and $v$"),
    ("rapid_variability", "n_sequences", "sequences with rapid $\\Delta u\\,\\sigma$"),
)


def figure_coverage(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Histograms of sample objects and of candidates by nights with u and g, nights with u and v, colour sequences.

    Objects without any stand at 0, those with MOST or more in the last bar.
    """
    with canvas(theme, height_in=3.6) as figure:
        panels = figure.subplots(1, 3, sharey=True)
        panels[0].set_ylabel("objects")
        for axes, (table, column, label) in zip(panels, _PANELS, strict=True):
            axes.set_xlabel(label)
            rows = np.array(warehouse.rows(_COUNTS.format(table=table, column=column), [MOST]), dtype=float)
            if not len(rows):
                say_empty(axes, theme, "no rows:\nthe sample\nis empty")
                continue
            number, objects, candidates = rows.T
            axes.bar(number, objects, 0.86, color=theme.muted, label="sample")
            axes.bar(number, candidates, 0.5, color=theme.candidate, label="candidates")
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.7)
            axes.set_xlim(-0.7, max(number.max(), 4) + 0.7)
            axes.yaxis.set_major_formatter(FuncFormatter(plain_counts))
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.minorticks_off()
            if number.max() == MOST:
                axes.set_title(f"the last bar: {MOST} and more", color=theme.muted)
        if panels[0].patches:
            legend_below(figure, panels[0], columns=2)
    return figure
