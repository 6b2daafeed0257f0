"""The report's index says what the tables say, loads only its own files, and can be read, sorted and filtered by everybody."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from conftest import REPORT_FIGURES, REPORT_PAGES, MakeArchive, Sky, fill, red_giant
from html_page import Page, rows_of
from skysy.analysis.figures import FIGURES
from skysy.analysis.report import write_report
from skysy.analysis.report.facts import Facts, read_facts
from skysy.analysis.report.plates import words_of_figures
from skysy.analysis.report.render import Pages, curve_of
from skysy.analysis.report.stars import read_stars
from typer.testing import CliRunner, Result

from skysy.cli import report as command
from skysy.config import Settings
from skysy.errors import ModelError, UsageError, WarehouseMissing
from skysy.store import create, open_warehouse

COLUMNS = (
    "Rank", "Object", "RA", "Dec", "J", "MJ", "(J−Ks)0", "u−g", "u−v", "ln density", "Rapid Δu", "p", "Known as", "Reason",
    "Cautions", "Look up",
)  # fmt: skip


def cells_of(page: Page) -> list[list[str]]:
    """Texts of the table of candidates, a list per row."""
    return rows_of(page.by_id("candidates"))


def run(settings: Settings, *words: str) -> Result:
    app = typer.Typer()
    app.command()(command.report)
    return CliRunner().invoke(app, [*words, "--warehouse", str(settings.warehouse)])


@pytest.fixture(scope="module")
def source(report: Path) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


@pytest.fixture(scope="module")
def facts(simulated: Sky) -> Facts:
    with open_warehouse(simulated.settings) as warehouse:
        return read_facts(warehouse)


def index(facts: Facts) -> Page:
    """The first page of these facts, without figures."""
    return Page(Pages(facts, facts.candidates).index([], []))


def test_the_command_says_what_it_wrote(report: Path, simulated: Sky) -> None:
    told = json.loads((report.parent / "told.json").read_text(encoding="utf-8"))
    files = [one for one in report.rglob("*") if one.is_file()]
    with open_warehouse(simulated.settings) as warehouse:
        candidates = warehouse.value("SELECT count(*) FROM candidates")
    assert told == {
        "path": str(report / "index.html"), "bytes": sum(one.stat().st_size for one in files), "files": len(files),
        "candidates": candidates, "pages": REPORT_PAGES, "light_curves": 1,
    }  # fmt: skip
    assert candidates > REPORT_PAGES == len(list((report / "candidate").iterdir()))


def shown(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def test_every_candidate_has_a_row_with_its_values(page: Page, simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as warehouse:
        rows = warehouse.rows(
            "SELECT rank, object_id, raj2000, dej2000, j_m, abs_j_mag, jk0_mag, ug_mag, uv_mag, ln_density, rapid_u_sigma, "
            "p_scatter, known_name, known_type, reason, cautions FROM candidates ORDER BY rank"
        )
    decimals = (5, 5, 3, 2, 3, 3, 3, 2, 1)
    expected = [
        [
            str(rank),
            str(object_id),
            *(shown(value, places) for value, places in zip(values, decimals, strict=True)),
            "–" if p is None else f"{p:.2g}" if p >= 0.0001 or p == 0 else f"{p:.0e}",
            f"{name} {kind}" if name else "–",
            reason.replace("; ", ";"),
            cautions.replace("; ", ";") or "–",
            "SIMBAD Aladin Lite",
        ]
        for rank, object_id, *values, p, name, kind, reason, cautions in rows
    ]
    assert cells_of(page) == expected
    assert len(expected) > 20
    links = [row.all("th")[0].all("a") for row in page.by_id("candidates").all("tbody")[0].all("tr")]
    assert [one[0].attributes["href"] for one in links if one] == [
        f"candidate/{row[1]}.html" for row in rows[:REPORT_PAGES]
    ], "the first ones, and no others, have a page"
    headings = page.by_id("candidates").all("thead")[0].all("th")
    assert (
        tuple(heading.all("span")[0].text if heading.all("span") else heading.text for heading in headings) == COLUMNS
    )
    units = {heading.all("span")[0].text: heading.all("small")[0].text for heading in headings if heading.all("small")}
    assert units == dict.fromkeys(COLUMNS[4:9], "mag") | {
        "RA": "deg", "Dec": "deg", "ln density": "per mag²", "Rapid Δu": "σ", "p": "if steady",
    }  # fmt: skip


def test_the_flow_of_cuts_is_the_table_cut_flow(page: Page, simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as warehouse:
        for place, name in enumerate(("cut_flow", "measurement_flow")):
            rows = warehouse.rows(f"SELECT cut, n_in, n_pass, n_fail, n_null FROM {name} ORDER BY step")
            table = [one for one in page.root.all("table") if one.attributes.get("class") == "flow"][place]
            found = [
                [row.all("th")[0].words[0].strip(), *(cell.text for cell in row.all("td")[:4])]
                for row in table.all("tbody")[0].all("tr")
            ]
            assert found == [[cut, *(f"{n:,}" for n in counts)] for cut, *counts in rows]
        [flow, *_] = [one for one in page.root.all("table") if one.attributes.get("class") == "flow"]
        followed = [row.all("td")[-1].text for row in flow.all("tbody")[0].all("tr")]
        for told, (cut, known_lost) in zip(
            followed, warehouse.rows("SELECT cut, known_in - known_pass FROM cut_flow ORDER BY step"), strict=True
        ):
            names = [
                name
                for (name,) in warehouse.rows("SELECT name FROM known_recovery WHERE lost_at = ? ORDER BY name", [cut])
            ]
            assert told == (f"{known_lost}{', '.join(names)}" if known_lost else "–")
        assert set(followed) != {"–"}
        counts = ("int_selection__cuts", "sample", "density_score", "candidates")
        numbers = [f"{warehouse.value(f'SELECT count(*) FROM {name}'):,}" for name in counts]
    assert [one.text for one in page.root.all("dd")] == numbers


def test_each_audit_that_found_rows_is_told_with_their_number(page: Page, simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as warehouse:
        found = warehouse.rows("SELECT audit, offenders FROM meta.audit WHERE offenders > 0")
    assert found
    told = [one.text for one in page.root.all("summary") if " the rule " in one.text]
    assert len(told) == len(found)
    for name, offenders in found:
        assert [one for one in told if one.startswith(f"{offenders:,} row") and one.endswith(name)]


def test_the_limits_and_the_false_alarms_to_expect_are_those_of_the_table(page: Page, simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as warehouse:
        rows = warehouse.rows("SELECT reaches, n_objects, n_found, n_expected FROM false_alarms ORDER BY step")
    [table] = [one for one in page.root.all("table") if one.all("caption")[0].text.startswith("Objects that reach")]
    assert rows_of(table) == [[name, f"{n:,}", f"{found:,}", f"{expected:,.1f}"] for name, n, found, expected in rows]
    assert len(rows) >= 5


def test_each_known_object_is_told_recovered_or_lost_and_where(page: Page, simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as warehouse:
        rows = warehouse.rows("SELECT name, object_id, rank, lost_at, is_value_missing FROM known_recovery")
    told = {row[2]: (row[0], row[3]) for row in rows_of(page.by_id("known-objects"))}
    assert told == {
        str(object_id): (
            name, f"recovered, rank {rank}" if rank else f"lost: {lost_at}{', its value is missing' if missing else ''}"
        )
        for name, object_id, rank, lost_at, missing in rows
    }  # fmt: skip
    recovered = sum(rank is not None for _, _, rank, *_ in rows)
    assert 0 < recovered < len(rows)
    assert f"{recovered} of {len(rows)} known objects are candidates." in page.root.text


def test_the_page_loads_only_its_own_files_and_runs_no_script_but_its_own(
    page: Page, source: str, report: Path
) -> None:
    for tag in ("iframe", "object", "embed", "audio", "video", "base"):
        assert page.root.all(tag) == []
    assert [one.attributes["href"] for one in page.root.all("link")] == ["report.css"]
    pictures = [one.attributes[name] for one in page.root.all("img", "source") for name in ("src", "srcset")
                if name in one.attributes]  # fmt: skip
    assert len(pictures) == 2 * REPORT_FIGURES
    assert {name.rsplit("/")[-1] for name in pictures} == {one.name for one in (report / "figures").iterdir()}
    for element in page.root.all(*page.tags()):
        assert not {"data", "poster", "background", "action"} & set(element.attributes)
        assert not any(name.startswith("on") for name in element.attributes)
    assert not re.search(r"url\(|@import", (report / "report.css").read_text(encoding="utf-8"))
    [script] = page.root.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(script.words).encode()).digest()).decode()
    policy = next(one for one in page.root.all("meta") if "http-equiv" in one.attributes).attributes["content"]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    outside = {one.attributes["href"].split("/")[2] for one in page.root.all("a") if "://" in one.attributes["href"]}
    assert outside == {"simbad.cds.unistra.fr", "aladin.cds.unistra.fr"}
    assert "http" not in re.sub(r'<a href="https://(simbad|aladin)[^"]*"', "", source.replace("http-equiv", ""))


def test_every_figure_has_its_words(facts: Facts) -> None:
    told = words_of_figures(facts)
    assert set(told) == set(FIGURES)
    for alt, title, caption in told.values():
        assert len(alt) > 40 < len(caption)
        assert title.endswith(".")
    assert f"{facts.headline.candidates:,} candidates" in told["figure7_sky"][0]


def test_ids_are_unique_and_every_link_inside_the_report_leads_somewhere(page: Page, report: Path) -> None:
    elements = page.root.all(*page.tags())
    ids = Counter(one.attributes["id"] for one in elements if "id" in one.attributes)
    assert set(ids.values()) == {1}
    targets = [one.attributes["href"][1:] for one in page.root.all("a") if one.attributes["href"].startswith("#")]
    for name in ("aria-labelledby", "aria-controls", "for"):
        targets += [one.attributes[name] for one in elements if name in one.attributes]
    assert set(targets) <= set(ids)
    files = [one.attributes["href"].partition("#")[0] for one in page.root.all("a")
             if "://" not in one.attributes["href"] and not one.attributes["href"].startswith("#")]  # fmt: skip
    assert len(files) > REPORT_PAGES
    assert all((report / name).is_file() for name in files)
    asked = set(re.findall(r'getElementById\("(\w+)"\)', page.root.all("script")[0].text))
    assert asked <= set(ids) and asked


def test_a_screen_reader_finds_language_headings_captions_labels_and_texts_for_pictures(page: Page) -> None:
    assert page.root.all("html")[0].attributes["lang"] == "en"
    assert len(page.root.all("h1")) == len(page.root.all("main")) == len(page.root.all("head")[0].all("title")) == 1
    for heading in page.root.all("h2"):
        assert heading.parent and heading.parent.attributes["aria-labelledby"] == heading.attributes["id"]
    for table in page.root.all("table"):
        assert table.all("caption")[0].text
        assert all(one.attributes.get("scope") in ("col", "row") for one in table.all("th"))
        assert table.all("thead")[0].all("th")
    for control in page.root.all("input", "select"):
        assert control.inside("label")
    for picture in page.root.all("img"):
        assert len(picture.attributes["alt"]) > 40
        assert int(picture.attributes["width"]) > 300 < int(picture.attributes["height"])
    for region in page.root.all("div"):
        if "scroll" in region.attributes.get("class", ""):
            assert region.attributes["role"] == "region" and region.attributes["tabindex"] == "0"
            assert region.attributes.get("aria-label") or region.attributes.get("aria-labelledby")
    sorted_by = [one for one in page.root.all("th") if "aria-sort" in one.attributes]
    assert [(one.text, one.attributes["aria-sort"]) for one in sorted_by] == [("Rank", "ascending")]


def test_columns_sorted_as_numbers_hold_only_numbers_and_dashes(page: Page) -> None:
    headings = page.by_id("candidates").all("thead")[0].all("th")
    for place, heading in enumerate(headings):
        if heading.attributes.get("data-sort") == "number":
            for row in cells_of(page):
                assert row[place] == "–" or math.isfinite(float(row[place]))


def test_a_name_with_markup_is_shown_as_it_is_written(facts: Facts) -> None:
    name = "<script>alert('x')</script> & \"V407\" <b>"
    candidates = [
        replace(facts.candidates[0], known_name=name, known_type="<i>", reason="a < b; c & d", cautions="<u>; &"),
        *facts.candidates[1:],
    ]
    cuts = [replace(facts.cuts[0], known_lost=1, lost_names=(name,)), *facts.cuts[1:]]
    known = [replace(facts.known[0], name=name), *facts.known[1:]]
    page = index(replace(facts, candidates=candidates, cuts=cuts, known=known))
    assert cells_of(page)[0][12:15] == [f"{name} <i>", "a < b;c & d", "<u>;&"]
    assert rows_of(page.by_id("known-objects"))[0][0] == name
    assert len(page.root.all("script")) == 1
    assert name in page.root.all("table")[2].text


def test_what_has_no_value_is_a_dash(facts: Facts) -> None:
    nothing = replace(
        facts.candidates[0], raj2000=None, j_m=None, abs_j_mag=math.nan, jk0_mag=None, ug_mag=None, uv_mag=math.nan,
        ln_density=-math.inf, rapid_u_sigma=math.nan, p_scatter=None, known_name=None, known_type=None, cautions="",
    )  # fmt: skip
    [row] = cells_of(index(replace(facts, candidates=[nothing])))
    assert [place for place, text in enumerate(row) if text == "–"] == [2, *range(4, 13), 14, 15]


def test_a_list_without_candidates_is_told_in_words(facts: Facts) -> None:
    none = index(replace(facts, candidates=[]))
    assert "No object of the sample is an outlier." in none.root.text
    assert "candidates" not in [one.attributes.get("id") for one in none.root.all("table")]
    nobody = replace(facts, candidates=[], headline=replace(facts.headline, in_sample=0))
    assert "The sample is empty" in index(nobody).root.text


@pytest.mark.slow
def test_a_warehouse_with_an_empty_sample_has_a_page_too(make_archive: MakeArchive, tmp_path: Path) -> None:
    with open_warehouse(make_archive(red_giant(1000, class_star=0.1))) as warehouse:
        written = write_report(warehouse, tmp_path / "empty")
    page = Page((tmp_path / "empty" / "index.html").read_text(encoding="utf-8"))
    assert (written.candidates, written.pages, written.light_curves) == (0, 0, 0)
    assert "The sample is empty" in page.root.text
    assert len(page.root.all("img")) == 10


def test_five_thousand_candidates_make_an_index_of_a_few_megabytes(facts: Facts) -> None:
    many = [
        replace(candidate, rank=place, object_id=10**17 + place)
        for place, candidate in enumerate((facts.candidates * 5_000)[:5_000], start=1)
    ]
    source = Pages(replace(facts, candidates=many), many).index([], [])
    assert re.findall(r'<th scope="row"><a href="candidate/(\d+)', source) == [str(one.object_id) for one in many]
    assert len(source.encode()) < 6_000_000


def test_the_same_warehouse_gives_the_same_pages_whatever_the_threads(
    facts: Facts, simulated: Sky, report: Path
) -> None:
    """Its pictures are held to the same promise in test_figures."""
    with open_warehouse(Settings(simulated.settings.warehouse, "600MB", 1)) as warehouse:
        again = read_facts(warehouse)
        assert again == facts
        chosen = again.candidates[:REPORT_PAGES]
        pages = Pages(again, chosen)
        for place, star in enumerate(read_stars(warehouse, chosen)):
            written = report / "candidate" / f"{star.candidate.object_id}.html"
            assert pages.star(place, star, curve_of(star)) == written.read_text(encoding="utf-8")


def test_the_command_refuses_in_words_and_leaves_what_was_there(simulated: Sky, tmp_path: Path) -> None:
    loaded = Settings(tmp_path / "loaded", "1GB", 1)
    failed = run(loaded).exception
    assert isinstance(failed, WarehouseMissing)
    create(loaded)
    with open_warehouse(loaded, write=True) as warehouse:
        fill(warehouse, "skymapper_dr2", red_giant(1000))
    old = tmp_path / "page.html"
    old.write_text("old", encoding="utf-8")
    failed = run(loaded, "--out", str(tmp_path / "new")).exception
    assert isinstance(failed, ModelError)
    assert "has not been built yet" in failed.message
    assert "skysy build" in failed.remedy
    for unwritable in (tmp_path, old, old / "report"):
        failed = run(simulated.settings, "--out", str(unwritable), "--top", "0").exception
        assert isinstance(failed, UsageError)
        assert str(unwritable) in failed.message
    assert old.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loaded", "page.html"]
