"""The notebook runs from its first cell to its last on a built warehouse, and is kept without what it printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import Sky

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    return list(found["cells"])


def test_no_output_is_kept(cells: list[dict[str, Any]]) -> None:
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count") is not None] == []
    assert len({cell["id"] for cell in cells}) == len(cells)


def test_every_cell_runs_and_the_figures_show_the_sky(
    cells: list[dict[str, Any]], simulated: Sky, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib.use("Agg", force=True)
    plt.close("all")
    monkeypatch.setenv("SKYSY_WAREHOUSE", str(simulated.settings.warehouse))
    names: dict[str, Any] = {}
    try:
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}, cell {cell['id']}", "exec"), names)
        figures = [plt.figure(number) for number in plt.get_fignums()]
        assert len(figures) == 3
        for figure in figures:
            axes = figure.axes[0]
            assert "(" in axes.get_xlabel(), "an axis says its unit"
            assert "(" in axes.get_ylabel(), "an axis says its unit"
            figure.canvas.draw()
    finally:
        plt.close("all")
    assert set(names["limits"]) == {"jk0_mag_min", "abs_j_mag_max", "density_ln_max", "rapid_u_sigma_min"}
    assert min(map(len, (names["jk0"], names["ug"], names["sigma"]))) > 100
    assert len(names["jk0_found"]) > 10
    assert np.isfinite(names["sigma"]).all()
