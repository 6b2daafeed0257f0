"""Everything that skysy can load has somebody to be cited, and a warehouse cites what it holds and no more."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from conftest import MakeArchive, red_giant
from typer.testing import CliRunner

from skysy.cite import bibliography, citations, sources
from skysy.cli.commands import app
from skysy.contract import load_contract, releases
from skysy.store import open_warehouse

OF_THE_USER = {"known", "followup"}
"""Schemas of tables that users write themselves."""


@pytest.mark.parametrize("release", releases())
def test_every_table_of_every_contract_has_a_source(release: str) -> None:
    said = sources()["tables"]
    for table in load_contract(release).tables:
        entry = said.get(table.name) or said.get(table.schema)
        assert entry is not None, table.name
        assert any(entry.values()) != (table.schema in OF_THE_USER), table.name


def test_every_reference_and_acknowledgement_is_there_and_is_used() -> None:
    said = sources()
    entries = said["tables"].values()
    used = {key for one in entries for key in one["references"]} | set(said["always"])
    used |= {key for keys in said["parameters"].values() for key in keys}
    assert used == bibliography().keys()
    thanked = {key for one in entries for key in one["acknowledgements"]}
    thanked |= {key for keys in said["services"].values() for key in keys}
    assert thanked == said["acknowledgements"].keys()


def test_services_are_those_that_skysy_knows() -> None:
    known = tomllib.loads(files("skysy.loaders.archive").joinpath("services.toml").read_text("utf-8"))["services"]
    assert sources()["services"].keys() <= known.keys()


def test_bibliography_is_whole_bibtex() -> None:
    text = files("skysy.sql").joinpath("cite", "references.bib").read_text("utf-8")
    assert len(bibliography()) == text.count("\n@") > 10
    for key, entry in bibliography().items():
        assert entry.count("{") == entry.count("}"), key
        for field in ("author", "title", "year"):
            assert f"\n  {field} = {{" in entry, (key, field)


def test_a_warehouse_cites_what_it_holds(make_archive: MakeArchive) -> None:
    known = {"known.objects": [{"object_id": 1000, "name": "V1"}]}
    where = make_archive(red_giant(1000) | known)
    with open_warehouse(where) as house:
        found = citations(house)
    assert {"lucy2024", "onken2019", "skrutskie2006", "gaia2018", "bailerjones2018"} <= set(found.references)
    assert not {"onken2024", "wenger2000", "huang2021", "sesar2010"} & set(found.references)
    assert found.used_by["bailerjones2018"] == ("gaiadr2_complements.geometric_distance",)
    assert found.unsourced == ("known.objects",)
    assert [one.title for one in found.acknowledgements].count("Gaia") == 1
    corrected = make_archive(red_giant(1000), settings=["zero_point_correction='add'"], name="corrected")
    with open_warehouse(corrected) as house:
        assert "huang2021" in citations(house).references


def test_cite_prints_bibtex_or_a_page(make_archive: MakeArchive, tmp_path: Path) -> None:
    place = ["--warehouse", str(make_archive(red_giant(1000)).warehouse)]
    bibtex = CliRunner().invoke(app, ["cite", "--bibtex", *place])
    page = CliRunner().invoke(app, ["cite", *place])
    assert bibtex.exit_code == page.exit_code == 0
    assert bibtex.stdout.startswith("@")
    for key in ("onken2019", "gaia2018"):
        assert f"{{{key}," in bibtex.stdout
        assert f"`{key}`" in page.stdout
    assert "Two Micron All Sky Survey" in page.stdout
