"""`skysy candidates` lists what the table holds, in its order, and says how many there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Sky, table_rows
from typer.testing import CliRunner, Result

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import ModelError
from skysy.store import create


def run(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(app, ["candidates", *words, "--warehouse", str(settings.warehouse)])


def test_the_first_are_told_in_order_with_every_reason_on_its_line(simulated: Sky) -> None:
    expected = table_rows(simulated.settings, "FROM candidates ORDER BY rank LIMIT 3")
    lines = run(simulated.settings, "--top", "3").stdout.splitlines()
    heads = [line.split() for line in lines if not line.startswith("     ")][:3]
    assert [(int(head[0]), int(head[1])) for head in heads] == [(row["rank"], row["object_id"]) for row in expected]
    assert [line.strip() for line in lines if line.startswith("     ")] == [
        line
        for row in expected
        for line in [*row["reason"].split("; "), *([f"caution: {row['cautions']}"] if row["cautions"] else [])]
    ]
    total, sample = (
        table_rows(simulated.settings, f"SELECT count(*) AS n FROM {t}")[0]["n"] for t in ("candidates", "sample")
    )
    assert f"3 of {total:,} candidates, from a sample of {sample:,} luminous red objects." in lines


def test_json_gives_every_column(simulated: Sky) -> None:
    told = json.loads(run(simulated.settings, "--top", "100000", "--json").stdout)
    expected = table_rows(simulated.settings, "FROM candidates ORDER BY rank")
    assert len(told) > 3
    assert told == [{**row, "verdict": None, "verdict_reason": None} for row in expected]


def test_a_known_star_is_named(simulated: Sky) -> None:
    [known] = table_rows(simulated.settings, "FROM candidates WHERE known_name IS NOT NULL ORDER BY rank LIMIT 1")
    told = run(simulated.settings, "--top", str(known["rank"])).stdout
    assert f"{known['object_id']}  {known['raj2000']:.6f} {known['dej2000']:+.6f}  {known['known_name']} (" in told


def test_before_a_build_the_command_to_type_is_named(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "w", "1GB", 1)
    create(settings)
    error = run(settings).exception
    assert isinstance(error, ModelError)
    assert "skysy build" in error.remedy


@pytest.mark.parametrize("top", ["0", "-1", "x"])
def test_a_number_that_is_none_is_refused(simulated: Sky, top: str) -> None:
    assert run(simulated.settings, "--top", top).exit_code == 2
