"""How the figures look: one print-like style on white, the same on a dark page, colours safe for colour-blind eyes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D


@dataclass(frozen=True)
class Theme:
    """The colours of a figure on one kind of page. Hues are of Okabe & Ito (2008), lightened for the dark page."""

    paper: str
    ink: str
    muted: str
    shade: str
    crowd: tuple[str, str]
    limit: str
    candidate: str
    bands: tuple[str, str, str]
    scale: str

    @property
    def crowd_map(self) -> Colormap:
        """From few objects to many."""
        return LinearSegmentedColormap.from_list("crowd", self.crowd)


LIGHT = Theme(
    paper="#ffffff",
    ink="#1a1d21",
    muted="#5b6470",
    shade="#f8f1e8",
    crowd=("#e3e7ec", "#39424e"),
    limit="#b34700",
    candidate="#d55e00",
    bands=("#0072b2", "#aa4499", "#007a5a"),
    scale="viridis_r",
)
DARK = Theme(
    paper="#15181c",
    ink="#e6e8eb",
    muted="#9aa3ae",
    shade="#221d17",
    crowd=("#2a3038", "#b9c2cd"),
    limit="#f0a04b",
    candidate="#f5a742",
    bands=("#56b4e9", "#e59fc7", "#35c79a"),
    scale="viridis",
)

_FIXED = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.7,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.2,
}


@contextmanager
def canvas(
    theme: Theme, width_in: float = 7.2, height_in: float = 4.8, layout: Literal["constrained"] | None = "constrained"
) -> Iterator[Figure]:
    """An empty figure in the theme; draw inside the `with`, where the theme's settings hold."""
    inks = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    papers = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    settings: dict[Any, Any] = _FIXED | dict.fromkeys(inks, theme.ink) | dict.fromkeys(papers, theme.paper)
    with mpl.rc_context(settings):
        yield Figure(figsize=(width_in, height_in), layout=layout)


def plain_counts(value: float, _: int | None) -> str:
    """A number of objects on a logarithmic scale: 1, 10, 100, up to 10,000, then powers of ten."""
    return f"{value:,.0f}" if value < 1e5 else f"$10^{{{math.log10(value):.0f}}}$"


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """The legend of the axes under the figure, where it hides nothing; small dots are larger there."""
    handles, labels = axes.get_legend_handles_labels()
    sizes = [one.get_markersize() for one in handles if isinstance(one, Line2D) and one.get_marker() != "None"]
    scale = max(1.0, 3.5 / min(sizes, default=3.5))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, markerscale=scale)


def say_beyond(axes: Axes, theme: Theme, count: int) -> None:
    """Say above the axes how many candidates they do not show."""
    if count:
        words = "candidate lies" if count == 1 else "candidates lie"
        axes.set_title(f"{count:,} {words} beyond the frame", color=theme.muted)


def say_empty(axes: Axes, theme: Theme, words: str) -> None:
    """Say in the middle of empty axes why nothing is drawn."""
    axes.text(0.5, 0.5, words, ha="center", va="center", color=theme.muted, transform=axes.transAxes)
