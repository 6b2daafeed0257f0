"""`skysy why` tells the story of one star from the warehouse as it was built."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from conftest import DR2, ENGINES, detection, exposures, fill, red_giant, together
from typer.testing import CliRunner

from skysy.config import Settings
from skysy.contract import load_contract
from skysy.errors import NotFound, UsageError
from skysy.models.build import run_build
from skysy.models.lineage import CutTerm, cut_terms
from skysy.models.parameters import apply_built
from skysy.models.project import Project, load_project
from skysy.store import create, open_warehouse
from skysy.why import FLOW, Story, find_object, tell

NIGHT = 57000.5


def story(settings: Settings, target: str, radius_arcsec: float = 5.0) -> Story:
    with open_warehouse(settings) as warehouse:
        apply_built(warehouse)
        return tell(
            warehouse,
            [science().model(name).sql for name in FLOW],
            terms(),
            load_contract("skymapper_dr2"),
            target,
            radius_arcsec,
        )


@cache
def science() -> Project:
    """The science as it stands, read once."""
    return load_project("skymapper_dr2")


@cache
def terms() -> list[CutTerm]:
    """Its cuts."""
    return cut_terms(science(), "int_selection__cuts")


@pytest.fixture(scope="module")
def three_stars(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Star 1000 passes and flickers; 2000 lies beside RA 0 and has a near neighbour; 3000 has no AllWISE row."""
    images = exposures(20150101120000, "uvgruvizuv", NIGHT)
    mags = {
        "u": [15.10, 15.06, 15.12],
        "v": [14.9, 14.9, 14.9],
        "g": [13.3],
        "r": [12.5],
        "i": [12.0],
        "z": [11.8],
    }
    seen: dict[str, int] = {}
    rows = []
    for image in images:
        band = image["filter"]
        rows.append(detection(1000, image, mags[band][seen.get(band, 0)], 0.0033))
        seen[band] = seen.get(band, 0) + 1
    rows.append(detection(1000, images[0], 15.1, 0.0033, used_in_clip=None))
    rows.append(detection(1000, images[1], -99.0, 0.0033))
    tables = together(
        red_giant(1000),
        red_giant(2000, raj2000=359.9999, dej2000=-10.0, prox=3.25),
        red_giant(3000, no=("ext.allwise",), raj2000=10.0),
        {"dr2.images": images, "dr2.photometry": rows},
        {"known.objects": [{"object_id": 2000, "name": "V* Test", "object_type": "Sy*", "source": "test"}]},
    )
    where = Settings(tmp_path_factory.mktemp("why") / "warehouse", "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        fill(warehouse, DR2, tables)
        run_build(warehouse, science(), engines=ENGINES)
    return where


def test_each_cut_is_told_with_value_limit_unit_and_verdict(three_stars: Settings) -> None:
    told = story(three_stars, "2000")
    cut = next(cut for cut in told.cuts if cut.name == "isolated")
    assert cut.verdict == "fails"
    assert cut.values == {"prox": 3.25}
    assert cut.limits == {"prox_arcsec_min": "6.0"}
    assert cut.units == {"prox": "arcsec", "prox_arcsec_min": "arcsec"}
    assert told.first_failure == cut
    assert not told.in_sample
    assert told.known["name"] == "V* Test"


def test_a_missing_neighbour_is_missing_and_not_a_failure(three_stars: Settings) -> None:
    told = story(three_stars, "3000")
    failing = [cut for cut in told.cuts if cut.verdict != "passes"]
    assert [(cut.name, cut.verdict) for cut in failing] == [("allwise_match", "missing")]


def test_detections_that_do_not_count_are_told_with_the_cut_that_took_them(three_stars: Settings) -> None:
    told = story(three_stars, "1000")
    taken = {step["cut"]: step["n_fail"] + step["n_null"] for step in told.measurements}
    assert taken["clip_considered"] == 1
    assert taken["mag_range"] == 1
    assert sum(taken.values()) == 2
    assert told.filters == {"g": 1, "i": 1, "r": 1, "u": 3, "v": 3, "z": 1}
    assert told.nights == 1
    assert told.variability["delta_u_mag"] == pytest.approx(0.06, abs=1e-9)


def test_every_row_leads_back_to_the_load_that_brought_it(three_stars: Settings) -> None:
    origins = {origin.table_name: origin.rows for origin in story(three_stars, "1000").origins}
    assert origins == {
        "dr2.master": 1, "dr2.photometry": 12, "dr2.images": 10, "ext.twomass_psc": 1, "ext.allwise": 1,
        "ext.gaia_dr2": 1, "gaiadr2_complements.geometric_distance": 1,
    }  # fmt: skip


def test_a_position_finds_its_star_across_ra_0(three_stars: Settings) -> None:
    told = story(three_stars, "0.0001,-10.0")
    assert told.object_id == 2000
    assert told.separation_arcsec == pytest.approx(0.0002 * 3600 * 0.984807753, rel=1e-6)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("77,-10", "No survey object lies within"),
        ("999", "is not in the warehouse"),
    ],
)
def test_what_cannot_be_found_is_said_in_words(three_stars: Settings, target: str, words: str) -> None:
    with pytest.raises(NotFound, match=words):
        story(three_stars, target)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("400,10", "is not on the sky"),
        ("10,nan", "is not on the sky"),
        ("abc", "neither an object_id nor a position"),
        ("1,two", "neither an object_id nor a position"),
        ("1,2,3", "neither an object_id nor a position"),
        ("", "neither an object_id nor a position"),
    ],
)
def test_what_names_no_star_is_refused_in_words(three_stars: Settings, target: str, words: str) -> None:
    with open_warehouse(three_stars) as warehouse, pytest.raises(UsageError, match=words):
        find_object(warehouse, target, 5.0)


def test_a_position_may_have_a_blank_for_its_comma_and_begin_with_a_minus(three_stars: Settings) -> None:
    from skysy.cli.commands import app

    assert story(three_stars, "0.0001 -10.0").object_id == 2000
    place = ["--warehouse", str(three_stars.warehouse)]
    refused = CliRunner().invoke(app, ["why", "-0.1,-30", *place]).exception
    assert isinstance(refused, UsageError)
    assert "is not on the sky" in refused.message


def test_no_radius_finds_a_star_beyond_it(three_stars: Settings) -> None:
    with pytest.raises(NotFound, match="No survey object lies within nan arcsec"):
        story(three_stars, "77,-10", radius_arcsec=float("nan"))


def test_the_command_prints_words_and_json(three_stars: Settings) -> None:
    from skysy.cli.commands import app

    place = ["--warehouse", str(three_stars.warehouse)]
    words = CliRunner().invoke(app, ["why", "2000", *place])
    assert words.exit_code == 0
    assert "Not in the sample: the first cut that it does not pass is isolated (it fails)." in words.stdout
    assert "prox = 3.25 arcsec; limit prox_arcsec_min = 6.0 arcsec" in words.stdout
    found = json.loads(CliRunner().invoke(app, ["why", "1000", "--json", *place]).stdout)
    assert found["in_sample"] is True
    assert found["variability"]["n_u"] == 3


def test_asking_changes_nothing(three_stars: Settings) -> None:
    before = Path(three_stars.database).read_bytes()
    story(three_stars, "1000")
    assert Path(three_stars.database).read_bytes() == before


def test_a_table_that_an_earlier_skysy_did_not_make_is_passed_over(three_stars: Settings) -> None:
    whole = load_contract("skymapper_dr2")
    unknown = replace(whole.table("mast.observation"), name="mast.later")
    with open_warehouse(three_stars) as warehouse:
        apply_built(warehouse)
        flow = [science().model(name).sql for name in FLOW]
        told = tell(warehouse, flow, terms(), replace(whole, tables=(unknown, *whole.tables)), "1000")
    assert told == story(three_stars, "1000")
