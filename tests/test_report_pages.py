"""A candidate's page tells what the tables hold of it: measurements, nights, cuts, probabilities, neighbours, and the way on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Angle
from conftest import REPORT_PAGES, Sky, table_rows
from html_page import Element, Page, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from skysy.analysis.report.facts import read_facts
from skysy.analysis.report.flickering import Sector, draw_sector
from skysy.analysis.report.neighbours import Colours
from skysy.analysis.report.places import services, sexagesimal
from skysy.analysis.report.render import Pages, curve_of
from skysy.analysis.report.stars import Mission, Star, read_stars

from skysy.models.lineage import cut_terms
from skysy.models.project import load_project
from skysy.store import Warehouse, open_warehouse
from skysy.why import CutTeller


@pytest.fixture(scope="module")
def warehouse(simulated: Sky) -> Iterator[Warehouse]:
    with open_warehouse(simulated.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def ids(warehouse: Warehouse) -> list[int]:
    """The candidates that have a page, in order of rank."""
    return [row[0] for row in warehouse.rows("SELECT object_id FROM candidates ORDER BY rank LIMIT ?", [REPORT_PAGES])]


@pytest.fixture(scope="module")
def pages(report: Path, ids: list[int]) -> dict[int, Page]:
    return {one: Page((report / "candidate" / f"{one}.html").read_text(encoding="utf-8")) for one in ids}


@pytest.fixture(scope="module")
def star(warehouse: Warehouse) -> Star:
    """One that flickers."""
    facts = read_facts(warehouse)
    [flickering] = [one for one in facts.candidates if "variability" in one.criteria][:1]
    return next(read_stars(warehouse, [flickering]))


def render(warehouse: Warehouse, star: Star) -> Page:
    return Page(Pages(read_facts(warehouse), [star.candidate]).star(0, star, curve_of(star)))


def captioned(page: Page, words: str) -> Element:
    """The table whose caption begins so."""
    [found] = [one for one in page.root.all("table") if one.all("caption")[0].text.startswith(words)]
    return found


def values(page: Page) -> dict[str, str]:
    """Names and values of the lists on a page."""
    return {one.all("dt")[0].text: one.all("dd")[0].text for one in page.root.all("div") if one.all("dt")}


def fixed(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def test_every_measurement_stands_in_the_table_under_its_night(pages: dict[int, Page], warehouse: Warehouse) -> None:
    for object_id, page in pages.items():
        expected = warehouse.rows(
            "SELECT night_mjd, filter, date, mag_psf, e_mag_psf, image_id, used_in_clip FROM measurements "
            "WHERE object_id = ? ORDER BY date, image_id",
            [object_id],
        )
        told = []
        for body in captioned(page, "Measurements").all("tbody"):
            rows = [[cell.text for cell in row.all("td")] for row in body.all("tr")]
            [night] = body.all("th")
            assert night.attributes["rowspan"] == str(len(rows))
            told += [(night.text, row[0], row[1], row[2], row[3], row[8], row[7]) for row in rows]
        assert told == [
            (str(night), band, f"{date:.5f}", f"{mag:.3f}", f"{err:.4f}", str(image), "yes" if kept else "clipped")
            for night, band, date, mag, err, image, kept in expected
        ]
        assert len(told) > 3


def test_the_drawings_show_every_u_v_g_measurement_at_its_magnitude(
    pages: dict[int, Page], warehouse: Warehouse
) -> None:
    for object_id, page in pages.items():
        nights, *sequences = page.root.all("svg")
        rows = warehouse.rows(
            "SELECT filter, mag_psf, date, sequence_id FROM measurements WHERE object_id = ? AND filter IN ('u', 'v', 'g') "
            "ORDER BY filter, date, image_id", [object_id],
        )  # fmt: skip
        for band in "uvg":
            [panel] = [one for one in nights.all("g") if one.attributes.get("class") == band]
            marks = [one for one in panel.all("g") if one.all("title")]
            said = [re.match(r"(\w) ([\d.]+) ± [\d.]+ mag, MJD ([\d.]+)", one.all("title")[0].text) for one in marks]
            assert [found.groups() for found in said if found] == [
                (band, f"{mag:.3f}", f"{date:.5f}") for name, mag, date, _ in rows if name == band
            ]
            filled = [one.attributes.get("class") == "s" for one in marks]
            assert filled == [sequence is not None for name, _, _, sequence in rows if name == band]
        drawn = {one for _, _, _, one in rows if one is not None and any(
            name == "u" and sequence == one for name, _, _, sequence in rows)}  # fmt: skip
        assert len(sequences) == min(len(drawn), 6)


def test_marks_lie_where_their_magnitudes_and_times_put_them(star: Star) -> None:
    """One scale for all bands, bright at the top, later to the right."""
    svg = Page(str(curve_of(star).nights.svg)).root
    slopes = []
    for band in "uvg":
        [panel] = [one for one in svg.all("g") if one.attributes.get("class") == band]
        chosen = [one for one in star.points if one.band == band]
        places = []
        for mark in panel.all("path"):
            found = re.match(r"M([\d.]+) ([\d.]+)v([\d.]+)M", mark.attributes["d"])
            if found:
                x, top, height = map(float, found.groups())
                places.append((x, top + height / 2))
        assert len(places) == len(chosen) > 1
        x, y = np.array(places).T
        mag, mjd = np.array([(one.mag, one.date_mjd) for one in chosen]).T
        assert np.abs(np.polyval(np.polyfit(mjd, x, 1), mjd) - x).max() < 0.11
        if np.ptp(mag) > 0.02:
            slope, offset = np.polyfit(mag, y, 1)
            assert slope > 0
            assert np.abs(slope * mag + offset - y).max() < 0.11
            slopes.append(slope)
    assert np.ptp(slopes) < 0.02 * slopes[0]


def test_the_winning_pair_is_joined_in_the_first_sequence_and_nowhere_else(star: Star) -> None:
    assert star.pair is not None
    first, *others = curve_of(star).sequences
    assert f"Δu {star.pair.delta_u_mag:.3f} mag" in first.title
    [line] = [one for one in Page(str(first.svg)).root.all("path") if one.attributes.get("class") == "j"]
    ends = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line.attributes["d"])]
    assert len(ends) == 2
    assert not [
        one for other in others for one in Page(str(other.svg)).root.all("path") if one.attributes.get("class") == "j"
    ]


def test_nights_mean_and_catalogue_colours_stand_together(pages: dict[int, Page], warehouse: Warehouse) -> None:
    for object_id, page in pages.items():
        told = rows_of(captioned(page, "Snapshot colours"))
        nights = warehouse.rows(
            "SELECT night_mjd, n_u, n_v, n_g, u_mag, v_mag, g_mag, ug_mag, sqrt(ug_var), uv_mag, sqrt(uv_var) "
            "FROM nightly_colours WHERE object_id = ? ORDER BY night_mjd", [object_id],
        )  # fmt: skip
        assert told[:-3] == [
            [str(night), f"{n_u}, {n_v}, {n_g}", *(fixed(value, 3) for value in mags)]
            for night, n_u, n_v, n_g, *mags in nights
        ]
        [(ug, uv, u, v, g)] = warehouse.rows(
            "SELECT c.ug_mag, c.uv_mag, u_psf, v_psf, g_psf FROM candidates AS c JOIN sample USING (object_id) WHERE object_id = ?",
            [object_id],
        )
        assert [row[5] for row in told[-3:]] == [
            fixed(ug, 3),
            f"{u - g:.3f}",
            "–" if ug is None else f"{u - g - ug:+.3f}",
        ]
        assert [row[7] for row in told[-3:]] == [
            fixed(uv, 3),
            f"{u - v:.3f}",
            "–" if uv is None else f"{u - v - uv:+.3f}",
        ]


def test_every_cut_is_told_as_skysy_why_tells_it(pages: dict[int, Page], simulated: Sky, ids: list[int]) -> None:
    terms = cut_terms(load_project("skymapper_dr2"), "int_selection__cuts")
    [matched] = table_rows(simulated.settings, "SELECT * FROM int_selection__matched WHERE object_id = ?", [ids[0]])
    [verdicts] = table_rows(simulated.settings, "SELECT * FROM int_selection__cuts WHERE object_id = ?", [ids[0]])
    with open_warehouse(simulated.settings) as opened:
        cuts = CutTeller(opened, terms).tell(matched, verdicts)
    told = captioned(pages[ids[0]], "Cuts").all("tbody")[0].all("tr")
    assert [row.all("th")[0].words[0].strip() for row in told] == [cut.name for cut in cuts]
    assert len(cuts) == len(verdicts) - 1
    for row, cut in zip(told, cuts, strict=True):
        verdict, value, limit = (cell.text for cell in row.all("td"))
        assert verdict == cut.verdict == "passes"
        assert cut.sentence in row.text
        assert all(f"{name} = " in value for name in cut.values)
        assert all(f"{name} = {one}" in limit for name, one in cut.limits.items())
    assert f"j_m = {matched['j_m']:.3f} mag" in captioned(pages[ids[0]], "Cuts").text


def test_finding_data_and_probabilities_are_those_of_the_tables(pages: dict[int, Page], simulated: Sky) -> None:
    with_sigma = 0
    for object_id, page in pages.items():
        [row] = table_rows(
            simulated.settings,
            "SELECT c.raj2000, c.dej2000, c.source_id, c.reason, c.ln_density, c.rapid_u_sigma_floored, e.p_analytic, e.p_scatter, "
            "e.p_empirical, e.sigma_955, e.sigma_997, e.scatter_mag, s.r_est FROM candidates AS c "
            "JOIN sample AS s USING (object_id) LEFT JOIN effective_sigma AS e USING (object_id) WHERE object_id = ?",
            [object_id],
        )
        told = values(page)
        assert told["Right ascension"] == f"{row['raj2000']:.6f} deg"
        assert told["RA, Dec (ICRS)"] == sexagesimal(row["raj2000"], row["dej2000"])
        assert told["Gaia source"] == str(row["source_id"])
        assert told["Distance, 68 % interval"].startswith(f"{row['r_est']:,.0f} (")
        assert told["Rapid Δu σ, with the error floor"] == fixed(row["rapid_u_sigma_floored"], 3)
        for part in row["reason"].split("; "):
            assert part[1:] in page.root.text
        if row["p_scatter"] is None:
            assert "no colour sequence with two valid u exposures" in page.root.text
            continue
        with_sigma += 1
        for name, column in (("p if constant and errors are right", "p_analytic"), ("p if constant, scatter added", "p_scatter"),
                             ("Share of stars as bright with such a σ", "p_empirical")):  # fmt: skip
            assert float(told[name]) == pytest.approx(row[column], rel=0.5)
        assert told["95.5 % of stars as bright lie below"] == f"{row['sigma_955']:.2f} σ"
        assert told["99.7 % of stars as bright lie below"] == f"{row['sigma_997']:.2f} σ"
        assert told["Scatter beyond the errors"] == f"{row['scatter_mag']:.4f} mag"
    assert with_sigma > 0


def test_simbads_three_states_are_told_in_three_ways(star: Star, warehouse: Warehouse) -> None:
    told = {}
    for state, name in (("matched", "V* V407 Cyg"), ("none", None), ("not asked", None)):
        one = replace(
            star.candidate, simbad_state=state, main_id=name, main_type="Sy*" if name else None, known_name=None
        )
        told[state] = render(warehouse, replace(star, candidate=one, simbad_distance_arcsec=0.31)).by_id("find").parent
    words = {state: element.all("p")[0].text for state, element in told.items() if element}
    assert words == {
        "matched": "SIMBAD knows it as V* V407 Cyg, type Sy*, 0.31 arcsec away.",
        "none": "SIMBAD was asked and has nothing at this place.",
        "not asked": "SIMBAD has not been asked about it.",
    }


def test_what_mast_has_is_told_in_three_ways(star: Star, warehouse: Warehouse) -> None:
    assert {one.state for one in star.missions} == {"not asked"}
    seen = Mission("Swift UVOT", "matched", 2, 100.75, 57000.0, 58000.75, False)
    nothing = [Mission(name, "none", 0, 0.0, None, None, None) for name in ("HST", "IUE")]
    words = {}
    for state, missions in {"matched": [seen, *nothing], "none": nothing, "not asked": star.missions}.items():
        page = render(warehouse, replace(star, missions=missions))
        section = page.by_id("missions").parent
        assert section is not None
        words[state] = section.all("p")[0].text
        if state == "matched":
            [row] = rows_of(captioned(page, "Observations by mission"))
            assert row == ["Swift UVOT", "2", "100.8", "57000.000", "58000.750", "no copy"]
    assert words["matched"].endswith("It was asked and has nothing of HST, IUE.")
    assert words["none"] == "MAST was asked and has nothing at this place."
    assert words["not asked"].startswith("MAST has not been asked about it;")


def test_cautions_are_told_one_by_one_or_their_absence_is(star: Star, warehouse: Warehouse) -> None:
    cautious = replace(star, candidate=replace(star.candidate, cautions="next source at 9.5 arcsec; SIMBAD says C*"))
    [told] = [one for one in render(warehouse, cautious).root.all("ul") if one.attributes["class"] == "cautions"]
    assert [one.text for one in told.all("li")] == ["Next source at 9.5 arcsec.", "SIMBAD says C*."]
    sound = render(warehouse, replace(star, candidate=replace(star.candidate, cautions="")))
    assert "Nothing is known that would call for caution." in sound.root.text


def test_the_nearest_in_colour_are_the_nearest_of_all(pages: dict[int, Page], warehouse: Warehouse) -> None:
    stars = warehouse.rows(
        "SELECT object_id, ug_mag, uv_mag, ln_density FROM colours SEMI JOIN sample USING (object_id) "
        "LEFT JOIN density_score USING (object_id) WHERE ug_mag IS NOT NULL AND uv_mag IS NOT NULL"
    )
    colours = {one: (ug, uv) for one, ug, uv, _ in stars}
    scores = {one: score for one, _, _, score in stars}
    ranks = dict(warehouse.rows("SELECT object_id, rank FROM candidates"))
    linked = 0
    for object_id, page in pages.items():
        if object_id not in colours:
            continue
        distances = {one: math.dist(colours[one], colours[object_id]) for one in colours if one != object_id}
        expected = sorted(distances, key=lambda one: (distances[one], one))[:10]
        table = captioned(page, "Nearest objects")
        assert rows_of(table) == [
            [str(one), f"{distances[one]:.3f}", *(f"{colour:.3f}" for colour in colours[one]), f"{scores[one]:.2f}",
             row[5], f"rank {ranks[one]}" if one in ranks else "no"]
            for one, row in zip(expected, rows_of(table), strict=True)
        ]  # fmt: skip
        targets = [link.attributes["href"] for link in table.all("a")]
        assert targets == [f"{one}.html" for one in expected if one in pages]
        linked += len(targets)
    assert linked


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=40), st.integers(1, 12))
def test_of_equally_near_objects_the_lower_number_comes_first(places: list[tuple[int, int]], n: int) -> None:
    ordered = sorted(enumerate(places), key=lambda one: (one[1][0], one[0]))
    colours = Colours.__new__(Colours)
    colours._object_id = np.array([one for one, _ in ordered])
    colours._ug, colours._uv = (np.array([place[axis] / 128 for _, place in ordered]) for axis in (0, 1))
    (ug, uv), others = places[0], range(1, len(places))
    found = colours.nearest(0, ug / 128, uv / 128, n)
    square = {one: (places[one][0] - ug) ** 2 + (places[one][1] - uv) ** 2 for one in others}
    assert [one for one, _ in found] == sorted(others, key=lambda one: (square[one], one))[:n]


def test_pages_lead_to_the_next_the_one_before_and_back(pages: dict[int, Page], ids: list[int], report: Path) -> None:
    for place, object_id in enumerate(ids):
        links = [one.attributes for one in pages[object_id].root.all("a")]
        for rel, other in (("prev", place - 1), ("next", place + 1)):
            expected = [f"{ids[other]}.html"] * 2 if 0 <= other < len(ids) else []
            assert [one["href"] for one in links if one.get("rel") == rel] == expected
        assert sum(one["href"] == "../index.html#candidates-title" for one in links) == 2
        inside = [one["href"] for one in links if "://" not in one["href"] and not one["href"].startswith("#")]
        assert all((report / "candidate" / name.partition("#")[0]).resolve().is_file() for name in inside)
        outside = {one["href"].split("/")[2] for one in links if "://" in one["href"]}
        assert outside == {"simbad.cds.unistra.fr", "vizier.cds.unistra.fr", "aladin.cds.unistra.fr", "sky.esa.int"}


def test_a_page_has_no_script_and_names_all_that_it_shows(pages: dict[int, Page]) -> None:
    for page in pages.values():
        assert page.root.all("script", "img", "iframe", "style") == []
        assert page.root.all("html")[0].attributes["lang"] == "en"
        assert len(page.root.all("h1")) == len(page.root.all("main")) == len(page.root.all("head")[0].all("title")) == 1
        for heading in page.root.all("h2"):
            assert heading.parent and heading.parent.attributes["aria-labelledby"] == heading.attributes["id"]
        for svg in page.root.all("svg"):
            assert svg.attributes["role"] == "img"
            assert len(svg.attributes["aria-label"]) > 40
        for table in page.root.all("table"):
            assert table.all("caption")[0].text
            assert all(one.attributes["scope"] in ("col", "row", "rowgroup") for one in table.all("th"))
        names = [one.attributes["aria-label"] for one in page.root.all("nav")]
        assert len(set(names)) == len(names) == 2


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90))
def test_sexagesimal_is_that_of_astropy(ra: float, dec: float) -> None:
    text = sexagesimal(ra, dec).replace("−", "-").split()
    back_ra = Angle(":".join(text[:3]), unit=units.hourangle).deg
    back_dec = Angle(":".join(text[3:]), unit=units.deg).deg
    assert abs((back_ra - ra + 180) % 360 - 180) <= 0.005 * 15 / 3600 + 1e-9
    assert abs(back_dec - dec) <= 0.05 / 3600 + 1e-9
    assert [len(part) for part in text] == [2, 2, 5, 3, 2, 4]
    assert not any(part.startswith("60") for part in text[1:])


def test_places_just_south_of_the_equator_keep_their_sign_and_services_know_plus_signs() -> None:
    assert sexagesimal(0.0, -0.5) == "00 00 00.00 −00 30 00.0"
    assert sexagesimal(359.9999999, 89.9999999) == "00 00 00.00 +90 00 00.0"
    assert "10.00000%20%2B0.50000" in services(10.0, 0.5)["SIMBAD"]
    assert all("%20-0.50000" in one for one in services(10.0, -0.5).values())


def sector(number: int = 1, **changes: Any) -> Sector:
    """A sector of a hundred bins and as many frequencies, one bin of them clipped."""
    row = {
        "sector": number, "method": "", "pipeline": "<b>QLP", "flux_column": "SAP_FLUX", "tess_mag": 10.25, "n_bins": 99, "cadence_s": 1800.0,
        "span_d": 3.0, "rms_ppm": 300.0, "white_ppm2_uhz": 100.0, "band_to_white": 2.5, "flicker_rms_ppm": 150.0,
        "flicker_var_ppm2": 22500.0, "flicker_var_err_ppm2": 2500.0, "n_giants": 21, "giants_var_ppm2": 2250.0, "ratio": 10.0,
        "p_rank": 1 / 22, "comparison": "compared with 21 giants", "cautions": "a survey source is near",
    }  # fmt: skip
    bins = [(1325 + 0.02 * n, 10.0 * n, None if n == 50 else 9.0 * n) for n in range(100)]
    return Sector(row | changes, bins, [(2.0 * n, 1e4 / n) for n in range(1, 101)], (50.0, 200.0))


def test_the_page_tells_of_each_tess_sector_and_says_what_the_measure_is_not(warehouse: Warehouse, star: Star) -> None:
    sectors = [
        sector(),
        sector(2, ratio=None, p_rank=None, giants_var_ppm2=None, comparison="not compared: 3 giants", cautions=""),
    ]
    page = render(warehouse, replace(star, flickering=sectors))
    cells = [[cell.text for cell in row.all("td")] for row in captioned(page, "Flickering").all("tbody")[0].all("tr")]
    assert cells == [
        ["<b>QLP, SAP_FLUX", "10.25", "99", "300", "2.50", "150", "9.0", "10.0", "0.045"],
        ["<b>QLP, SAP_FLUX", "10.25", "99", "300", "2.50", "150", "9.0", "–", "–"],
    ]
    text = page.root.text
    assert "not the method of Merc et al. 2024" in text
    assert "Sector 1: compared with 21 giants; a survey source is near." in text
    assert "Sector 2: not compared: 3 giants." in text
    labels = [one.attributes["aria-label"] for one in page.root.all("svg")]
    assert sum(label.startswith("TESS sector") for label in labels) == 2


def test_a_star_without_a_tess_light_curve_says_so(pages: dict[int, Page]) -> None:
    assert all("No TESS light curve of it is loaded." in page.root.text for page in pages.values())


def test_the_drawing_of_a_sector_has_every_bin_the_trend_where_it_is_and_the_levels() -> None:
    svg = str(draw_sector(sector()).svg)
    paths = dict(re.findall(r'<path class="(\w+)" d="([^"]+)"', svg))
    assert paths["dots"].count("M") == 100
    assert paths["j"].count("M") + paths["j"].count("L") == 99
    assert paths["thin"].count("L") == 99
    x = [float(one) for one in re.findall(r"M([\d.]+) ", paths["dots"])]
    assert x == sorted(x)
    y = [float(one) for one in re.findall(r"M[\d.]+ ([\d.]+)h0", paths["dots"])]
    assert y == sorted(y, reverse=True)  # bright at the top
    heights = {name: float(re.findall(r"M\d+ ([\d.]+)H", paths[name])[0]) for name in ("white", "giants")}
    assert heights["giants"] < heights["white"]  # 2250 ppm^2 over 150 uHz: 15 more than 100
    assert "giants" not in dict(
        re.findall(r'<path class="(\w+)" d="([^"]+)"', str(draw_sector(sector(giants_var_ppm2=None)).svg))
    )


def test_the_follow_up_of_a_candidate_is_told_or_that_there_is_none(warehouse: Warehouse, star: Star) -> None:
    assert "No follow-up observation of it is recorded." in render(warehouse, star).root.text
    seen = {"verdict": "SkySy", "n_observations": 2, "verdict_reason": "cool giant; He II, 54.4 eV <in emission>"}
    told = render(warehouse, replace(star, followup=seen)).root.text
    assert "SkySy by 2 observations: cool giant; He II, 54.4 eV <in emission>." in told


def test_the_filter_of_rapid_variability_is_the_one_that_was_built_with(warehouse: Warehouse, star: Star) -> None:
    facts = read_facts(warehouse)
    others = [one | {"value": "'v'"} if one["name"] == "rapid_filter" else one for one in facts.built.parameters]
    with_v = replace(facts, built=replace(facts.built, parameters=others))
    page = Page(Pages(with_v, [star.candidate]).star(0, star, curve_of(star))).root.text
    assert "The line joins the two v exposures" in page
    assert "two u exposures" not in page
    assert "The line joins the two u exposures" in render(warehouse, star).root.text
