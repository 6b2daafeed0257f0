"""Figure 9: what each cut leaves and takes, and which known objects end where."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from skysy.analysis.figures.style import LIGHT, Theme, canvas, plain_counts, say_empty

from skysy.store import Warehouse

BEFORE, AFTER = "not in the catalogue", "no outlier"
"""What known_recovery says of objects that end before the first cut, and after the last."""


def figure_attrition(warehouse: Warehouse, theme: Theme = LIGHT) -> Figure:
    """Bars, a row for each cut in order: objects left, objects lost by FALSE and by NULL, known objects lost.

    The first row is the catalogue, the last the candidates: known objects that no cut took either end there as no
    outlier or are recovered, the bar of its own colour.
    """
    flow = warehouse.rows(
        "SELECT cut, n_in, n_pass, coalesce(n_fail, 0), coalesce(n_null, 0) FROM cut_flow ORDER BY step"
    )
    rows = ["catalogue", *(row[0] for row in flow), "candidates"]
    places = np.arange(len(rows))
    with canvas(theme, height_in=5.8) as figure:
        left, lost, known = figure.subplots(1, 3, sharey=True, width_ratios=(1.1, 1, 0.9))
        for axes, title in ((left, "objects left"), (lost, "objects lost"), (known, "known objects lost")):
            axes.set_title(title)
            axes.tick_params(axis="y", which="both", length=0)
        left.set_yticks(places, rows, fontsize=7.5)
        left.set_ylim(len(rows) - 0.4, -0.6)
        total = flow[0][1] if flow else 0
        if not total:
            for axes in (left, lost, known):
                say_empty(axes, theme, "no rows: nothing\nis loaded")
            return figure
        remaining = [total, *(row[2] for row in flow), int(warehouse.value("SELECT count(*) FROM candidates"))]
        left.barh(places, remaining, 0.72, color=theme.muted, label="objects left")
        _logarithmic(left, total)
        for place, count in zip(places, remaining, strict=True):
            left.text(
                1.0, place, f" {count:,}", va="center", fontsize=6.5, color=theme.paper if count > 30 else theme.ink
            )
        failed, missing = ([0, *(row[column] for row in flow), 0] for column in (3, 4))
        lost.barh(places - 0.19, failed, 0.36, color=theme.candidate, label="fails the cut")
        lost.barh(places + 0.19, missing, 0.36, color=theme.bands[0], label="value is missing (NULL)")
        _logarithmic(lost, max(*failed, *missing, 10))
        _draw_known(known, warehouse, rows, theme)
        handles, labels = lost.get_legend_handles_labels()
        more, words = known.get_legend_handles_labels()
        pairs = dict(zip([*labels, *words], [*handles, *more], strict=True))
        figure.legend([*pairs.values()], [*pairs], loc="outside lower center", ncols=3)
    return figure


def _logarithmic(axes: Axes, most: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(0.8, 2 * most)
    axes.xaxis.set_major_formatter(FuncFormatter(plain_counts))


def _draw_known(axes: Axes, warehouse: Warehouse, rows: list[str], theme: Theme) -> None:
    """Bars of known objects lost in each row, those with a missing value apart, and the recovered ones."""
    found = warehouse.rows(
        "SELECT lost_at, coalesce(is_value_missing, FALSE) AS missing, count(*) FROM known_recovery GROUP BY ALL ORDER BY ALL"
    )
    if not found:
        say_empty(axes, theme, "none is listed")
        axes.set_xticks([])
        return
    names = [BEFORE, *rows[1:-1], AFTER]
    places = [float(place) for place in range(len(rows))]
    counts = {(lost_at, missing): n for lost_at, missing, n in found}
    failed, missing = ([counts.get((name, flag), 0) for name in names] for flag in (False, True))
    recovered = counts.get((None, False), 0)
    axes.barh(places, failed, 0.72, color=theme.candidate, label="fails the cut")
    axes.barh(places, missing, 0.72, left=failed, color=theme.bands[0], label="value is missing (NULL)")
    axes.barh(places[-1:], [recovered], 0.72, left=failed[-1:], color=theme.bands[2], label="recovered")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.margins(x=0.22)
    for place, fail, null in zip(places, failed, missing, strict=True):
        words = f"{fail + null:,}" if fail + null else ""
        if place == places[-1]:
            words = f"{fail:,} ordinary, {recovered:,} recovered"
            axes.text(0, place - 0.75, f" {words}", va="center", fontsize=6.5, color=theme.ink)
        elif words:
            axes.text(fail + null, place, f" {words}", va="center", fontsize=6.5, color=theme.ink)
