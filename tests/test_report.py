"""The report is one page that says what the tables say, loads nothing, and can be read, sorted and filtered by everybody."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from conftest import MakeArchive, Sky, fill, red_giant
from skysy.analysis.report import render, write_report
from skysy.analysis.report.facts import Facts, read_facts
from typer.testing import CliRunner, Result

from skysy.cli import report as command
from skysy.config import Settings
from skysy.errors import ModelError, UsageError, WarehouseMissing
from skysy.store import create, open_warehouse

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
CELLS = {"td", "th"}
COLUMNS = (
    "Rank", "Object", "RA", "Dec", "J", "MJ", "(J−Ks)0", "u−g", "u−v", "ln density", "Rapid Δu", "Known as", "Reason", "Look up",
)  # fmt: skip


@dataclass
class Element:
    """An element with its attributes, what it holds, and all text inside."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, *tags: str) -> list[Element]:
        """Elements of these names inside, in order."""
        return [one for child in self.children for one in ([child] if child.tag in tags else []) + child.all(*tags)]

    def inside(self, tag: str) -> bool:
        return self.parent is not None and (self.parent.tag == tag or self.parent.inside(tag))


class Page(HTMLParser):
    """A page as a tree; closing tags that close nothing are a failure, cells and rows may leave theirs out."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.root = self.here = Element("page", {})
        self.feed(source)
        self.close()
        assert self.here is self.root, f"<{self.here.tag}> is never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in CELLS and self.here.tag in CELLS:
            self._up()
        element = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        assert len(element.attributes) == len(attrs), f"<{tag}> names an attribute twice"
        self.here.children.append(element)
        if tag not in VOID:
            self.here = element

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self.here.tag in CELLS:
            self._up()
        assert self.here.tag == tag, f"</{tag}> where <{self.here.tag}> is open"
        self._up()

    def handle_data(self, data: str) -> None:
        element: Element | None = self.here
        while element:
            element.words.append(data)
            element = element.parent

    def _up(self) -> None:
        assert self.here.parent
        self.here = self.here.parent

    def by_id(self, name: str) -> Element:
        [found] = [one for one in self.root.all(*self.tags()) if one.attributes.get("id") == name]
        return found

    def tags(self) -> set[str]:
        names: set[str] = set()
        queue = [self.root]
        while queue:
            element = queue.pop()
            names.add(element.tag)
            queue.extend(element.children)
        return names


def cells_of(page: Page) -> list[list[str]]:
    """Texts of the table of candidates, a list per row."""
    [body] = page.by_id("candidates").all("tbody")
    return [[cell.text for cell in row.all(*CELLS)] for row in body.all("tr")]


def run(settings: Settings, *words: str) -> Result:
    app = typer.Typer()
    app.command()(command.report)
    return CliRunner().invoke(app, [*words, "--warehouse", str(settings.warehouse)])


@pytest.fixture(scope="module")
def source(simulated: Sky, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the simulated sky, with one light curve, as the command makes it."""
    path = tmp_path_factory.mktemp("report") / "deep" / "page.html"
    done = run(simulated.settings, "--out", str(path), "--top", "1", "--json")
    assert done.exit_code == 0, done.output
    source = path.read_bytes()
    told = json.loads(done.stdout)
    assert (told["path"], told["bytes"], told["light_curves"]) == (str(path), len(source), 1)
    return source.decode()


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


@pytest.fixture(scope="module")
def facts(simulated: Sky) -> Facts:
    with open_warehouse(simulated.settings) as warehouse:
        return read_facts(warehouse)


def shown(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def test_every_candidate_has_a_row_with_its_values(page: Page, simulated: Sky) -> None:
    with open_warehouse(simulated.settings) as warehouse:
        rows = warehouse.rows(
            "SELECT rank, object_id, raj2000, dej2000, j_m, abs_j_mag, jk0_mag, ug_mag, uv_mag, ln_density, rapid_u_sigma, "
            "known_name, known_type, reason FROM candidates ORDER BY rank"
        )
    decimals = (5, 5, 3, 2, 3, 3, 3, 2, 1)
    expected = [
        [
            str(rank),
            str(object_id),
            *(shown(value, places) for value, places in zip(values, decimals, strict=True)),
            f"{name} {kind}" if name else "–",
            reason.replace("; ", ";"),
            "SIMBAD Aladin",
        ]
        for rank, object_id, *values, name, kind, reason in rows
    ]
    assert cells_of(page) == expected
    assert len(expected) > 20
    headings = page.by_id("candidates").all("thead")[0].all("th")
    assert (
        tuple(heading.all("span")[0].text if heading.all("span") else heading.text for heading in headings) == COLUMNS
    )
    units = {heading.all("span")[0].text: heading.all("small")[0].text for heading in headings if heading.all("small")}
    assert units == dict.fromkeys(COLUMNS[4:9], "mag") | {
        "RA": "deg", "Dec": "deg", "ln density": "per mag²", "Rapid Δu": "σ",
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


def test_the_page_loads_nothing_and_runs_no_script_but_its_own(page: Page, source: str) -> None:
    for tag in ("link", "iframe", "object", "embed", "audio", "video", "base"):
        assert page.root.all(tag) == []
    for element in page.root.all(*page.tags()):
        for name in ("src", "srcset", "data", "poster", "background", "action"):
            assert element.attributes.get(name, "data:").startswith("data:"), element.tag
        assert not any(name.startswith("on") for name in element.attributes)
    assert not re.search(r"url\(|@import", page.root.all("style")[0].text)
    [script] = page.root.all("script")
    digest = base64.b64encode(hashlib.sha256("".join(script.words).encode()).digest()).decode()
    policy = next(one for one in page.root.all("meta") if "http-equiv" in one.attributes).attributes["content"]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    outside = {one.attributes["href"].split("/")[2] for one in page.root.all("a") if "://" in one.attributes["href"]}
    assert outside == {"simbad.cds.unistra.fr", "aladin.cds.unistra.fr"}
    assert "http" not in re.sub(r'<a href="https://(simbad|aladin)[^"]*"', "", source.replace("http-equiv", ""))


def test_ids_are_unique_and_every_link_inside_the_page_leads_somewhere(page: Page) -> None:
    elements = page.root.all(*page.tags())
    ids = Counter(one.attributes["id"] for one in elements if "id" in one.attributes)
    assert set(ids.values()) == {1}
    targets = [one.attributes["href"][1:] for one in page.root.all("a") if one.attributes["href"].startswith("#")]
    for name in ("aria-labelledby", "aria-controls", "for"):
        targets += [one.attributes[name] for one in elements if name in one.attributes]
    assert set(targets) <= set(ids)
    assert [one for one in targets if one.startswith("object-")], "the first candidate links to its light curve"
    asked = set(re.findall(r'getElementById\("(\w+)"\)', page.root.all("script")[0].text))
    assert asked <= set(ids) and asked


def test_a_screen_reader_finds_language_headings_captions_labels_and_texts_for_pictures(page: Page) -> None:
    assert page.root.all("html")[0].attributes["lang"] == "en"
    assert len(page.root.all("h1")) == len(page.root.all("main")) == len(page.root.all("title")) == 1
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
        replace(facts.candidates[0], known_name=name, known_type="<i>", reason="a < b; c & d"),
        *facts.candidates[1:],
    ]
    cuts = [replace(facts.cuts[0], known_lost=1, lost_names=(name,)), *facts.cuts[1:]]
    page = Page(render(replace(facts, candidates=candidates, cuts=cuts), [], []))
    assert cells_of(page)[0][11:13] == [f"{name} <i>", "a < b;c & d"]
    assert len(page.root.all("script")) == 1
    assert name in page.root.all("table")[1].text


def test_what_has_no_value_is_a_dash(facts: Facts) -> None:
    nothing = replace(
        facts.candidates[0], raj2000=None, j_m=None, abs_j_mag=math.nan, jk0_mag=None, ug_mag=None, uv_mag=math.nan,
        ln_density=-math.inf, rapid_u_sigma=math.nan, known_name=None, known_type=None,
    )  # fmt: skip
    [row] = cells_of(Page(render(replace(facts, candidates=[nothing]), [], [])))
    assert [place for place, text in enumerate(row) if text == "–"] == [2, *range(4, 12), 13]


def test_a_list_without_candidates_is_told_in_words(facts: Facts) -> None:
    none = Page(render(replace(facts, candidates=[]), [], []))
    assert "No object of the sample is an outlier." in none.root.text
    assert "candidates" not in [one.attributes.get("id") for one in none.root.all("table")]
    nobody = replace(facts, candidates=[], headline=replace(facts.headline, in_sample=0))
    assert "The sample is empty" in Page(render(nobody, [], [])).root.text


@pytest.mark.slow
def test_a_warehouse_with_an_empty_sample_has_a_page_too(make_archive: MakeArchive, tmp_path: Path) -> None:
    with open_warehouse(make_archive(red_giant(1000, class_star=0.1))) as warehouse:
        written = write_report(warehouse, tmp_path / "empty.html")
    page = Page((tmp_path / "empty.html").read_text(encoding="utf-8"))
    assert (written.candidates, written.light_curves) == (0, 0)
    assert "The sample is empty" in page.root.text
    assert len(page.root.all("img")) == 3


def test_five_thousand_candidates_make_a_page_that_can_be_mailed(facts: Facts) -> None:
    many = [
        replace(candidate, rank=place, object_id=10**17 + place)
        for place, candidate in enumerate((facts.candidates * 5_000)[:5_000], start=1)
    ]
    source = render(replace(facts, candidates=many), [], [])
    assert re.findall(r'<th scope="row">(\d+)<', source) == [str(one.object_id) for one in many]
    assert len(source.encode()) < 5_000_000


def test_the_same_warehouse_gives_the_same_page_whatever_the_threads(facts: Facts, simulated: Sky) -> None:
    """Its pictures are held to the same promise in test_figures."""
    with open_warehouse(Settings(simulated.settings.warehouse, "600MB", 1)) as warehouse:
        again = read_facts(warehouse)
    assert render(again, [], []) == render(facts, [], [])


def test_the_command_refuses_in_words_and_leaves_the_old_page(simulated: Sky, tmp_path: Path) -> None:
    loaded = Settings(tmp_path / "loaded", "1GB", 1)
    failed = run(loaded).exception
    assert isinstance(failed, WarehouseMissing)
    create(loaded)
    with open_warehouse(loaded, write=True) as warehouse:
        fill(warehouse, "skymapper_dr2", red_giant(1000))
    old = tmp_path / "page.html"
    old.write_text("old", encoding="utf-8")
    failed = run(loaded, "--out", str(old)).exception
    assert isinstance(failed, ModelError)
    assert "has not been built yet" in failed.message
    assert "skysy build" in failed.remedy
    for unwritable in (tmp_path, old / "page.html"):
        failed = run(simulated.settings, "--out", str(unwritable), "--top", "0").exception
        assert isinstance(failed, UsageError)
        assert str(unwritable) in failed.message
    assert old.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loaded", "page.html"]
