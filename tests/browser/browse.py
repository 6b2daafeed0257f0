"""A report looked at in a real browser: no error, nothing asked of a network, sort, filter and links, rules of accessibility.

    python tests/browser/browse.py DIR                      checks the report in DIR, says what is wrong
    python tests/browser/browse.py DIR --pictures OUT       pictures of index and first candidate, 3 widths, light and dark
    python tests/browser/browse.py DIR --times              how long filter and sort take

Needs Chromium and the Python packages of `pip install '.[browser]'` (playwright, and axe-playwright-python, which carries
axe-core). Where one is missing it says which, and that nothing was checked. SKYSY_BROWSER names a Chromium elsewhere.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

WIDTHS = (390, 900, 1500)
SCHEMES = ("light", "dark")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_AXE = """async () => (await axe.run(document, {resultTypes: ["violations"], preload: false})).violations.map(
    (one) => `${one.impact}: ${one.id}: ${one.nodes.length} x ${one.nodes[0].html.slice(0, 160)} ${one.nodes[0].failureSummary}`)"""
_UNSEEN = """async () => {
    const unseen = [];
    for (const one of document.images) {
        one.loading = "eager";
        await one.decode().catch(() => unseen.push(one.currentSrc));
    }
    return unseen;
}"""
_COLUMN = """(place) => [...document.querySelectorAll("#candidates tbody tr")].map((row) => row.cells[place].textContent.trim())"""


def browser_path() -> str | None:
    """A Chromium of this machine."""
    return os.environ.get("SKYSY_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)


def missing() -> str | None:
    """What is missing for a look, in words; None where nothing is."""
    for package in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(package) is None:
            return f"the Python package {package.replace('_', '-')} is not installed"
    return None if browser_path() else "no Chromium is on the path, and SKYSY_BROWSER names none"


@contextmanager
def opened() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    words = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path(), args=words)
        try:
            yield browser
        finally:
            browser.close()


class Looker:
    """Looks at pages and writes down what is wrong; `pages` are the candidates' pages that are looked at."""

    def __init__(self, browser: Any, folder: Path, most_pages: int = 200) -> None:
        self.browser, self.folder = browser, folder.resolve()
        self.pages = sorted((self.folder / "candidate").glob("*.html"))[:most_pages]
        self.wrong: list[str] = []

    def page(self, width: int = 1300, scheme: str = "light", **options: Any) -> Any:
        """An empty page whose errors, and whose requests to anywhere but files, are written down."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        page = context.new_page()
        page.on("console", lambda one: self.wrong.append(f"{page.url}: console {one.type}: {one.text}"))
        page.on("pageerror", lambda one: self.wrong.append(f"{page.url}: {one}"))
        page.on("requestfailed", self._failed)
        page.on(
            "request", lambda one: None if one.url.startswith("file:") else self.wrong.append(f"asks for {one.url}")
        )
        return page

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left while a picture came in
            self.wrong.append(f"{request.frame.url}: {request.url} could not be had: {request.failure}")

    def expect(self, is_so: bool, words: str) -> None:
        if not is_so:
            self.wrong.append(words)

    def open_all(self) -> None:
        """Every page opens, has its style and its pictures, and fits its width from a telephone up."""
        for width in (320, *WIDTHS):
            page = self.page(width)
            for path in [self.folder / "index.html", *(self.pages if width == WIDTHS[-1] else self.pages[:3])]:
                page.goto(path.as_uri())
                over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                self.expect(over <= 0, f"{path.name}: {over} pixels too wide at {width}")
                styled = page.evaluate("getComputedStyle(document.body).maxWidth")
                self.expect(styled != "none", f"{path.name}: no style")
                unseen = page.evaluate(_UNSEEN)
                self.expect(not unseen, f"{path.name}: pictures that cannot be shown: {unseen}")
            page.context.close()

    def use_index(self) -> None:
        """The table sorts by every column in both directions, by mouse and by key, and filters by word, kind and mark."""
        page = self.page()
        page.goto((self.folder / "index.html").as_uri())
        page.keyboard.press("Tab")
        skip = page.evaluate("document.activeElement.className + document.activeElement.getBoundingClientRect().left")
        self.expect(
            skip.startswith("skip") and float(skip[4:]) >= 0, f"the first tab does not show the skip link: {skip}"
        )
        while page.locator("#more").is_visible():
            page.click("#more")
        rows = page.evaluate("document.querySelectorAll('#candidates tbody tr').length")
        for place, heading in enumerate(page.locator("#candidates thead th").all()):
            if heading.get_attribute("data-sort") is None:
                continue
            button = heading.locator("button")
            for direction in ("ascending", "descending"):
                if place % 2:
                    button.focus()
                    page.keyboard.press("Enter")
                else:
                    button.click()
                told = heading.get_attribute("aria-sort")
                if place == 0 and direction == "ascending" and told == "descending":  # it begins sorted by rank
                    button.click()
                    told = heading.get_attribute("aria-sort")
                self.expect(told == direction, f"column {place}: aria-sort is {told}, not {direction}")
                if heading.get_attribute("data-sort") == "number":
                    cells = page.evaluate(_COLUMN, place)
                    numbers = [float(cell) for cell in cells if cell != "–"]
                    self.expect(
                        numbers == sorted(numbers, reverse=direction == "descending"),
                        f"column {place} is not {direction}",
                    )
                    self.expect(
                        all(cell == "–" for cell in cells[len(numbers) :]), f"column {place}: dashes are not last"
                    )
        first = page.evaluate(_COLUMN, 1)[0]
        page.fill("#words", first)
        self.expect(page.evaluate(_COLUMN, 1) == [first], f"the filter does not find {first} alone")
        self.expect(page.inner_text("#shown").startswith("1 of"), "the filter does not say how many are shown")
        page.fill("#words", "no such star")
        self.expect(page.evaluate(_COLUMN, 1) == [], "the filter finds what is not there")
        page.fill("#words", "")
        page.select_option("#criteria", "both")
        both = page.evaluate("[...document.querySelectorAll('#candidates tbody tr')].map((row) => row.dataset.by)")
        self.expect(set(both) <= {"colour+variability"}, "the filter of kinds lets others through")
        page.select_option("#criteria", "")
        for box, mark in (("#unknown", "known"), ("#sound", "cautions")):
            page.check(box)
            marked = page.evaluate(f"document.querySelectorAll('#candidates tbody tr[data-{mark}]').length")
            self.expect(marked == 0, f"{box} leaves {marked} rows")
            page.uncheck(box)
        again = page.evaluate("document.querySelectorAll('#candidates tbody tr').length")
        self.expect(again == rows, f"{again} rows of {rows} come back")
        page.context.close()

    def follow_links(self) -> None:
        """From the index to the first candidate, on to the next, back, and back to the index."""
        page = self.page()
        page.goto((self.folder / "index.html").as_uri())
        if not self.pages:
            return
        page.locator("#candidates tbody th a").first.click()
        first = page.url
        self.expect("/candidate/" in first, "the first candidate has no page")
        if page.locator("a[rel=next]").count():
            page.locator("a[rel=next]").first.click()
            self.expect(page.url != first, "next leads nowhere")
            page.locator("a[rel=prev]").first.click()
            self.expect(page.url == first, "previous does not lead back")
        page.locator(".steps a[href^='../index.html']").first.click()
        self.expect("/index.html" in page.url, "no way back to the index")
        page.context.close()

    def check_rules(self) -> None:
        """axe-core finds nothing, on light and dark pages, narrow and wide; calm pages do not scroll by themselves."""
        source = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        for scheme in SCHEMES:
            for width in (WIDTHS[0], WIDTHS[-1]):
                page = self.page(width, scheme, bypass_csp=True, reduced_motion="reduce")
                for path in [self.folder / "index.html", *self.pages[:3]]:
                    page.goto(path.as_uri())
                    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
                    page.evaluate(source)
                    for broken in page.evaluate(_AXE):
                        self.wrong.append(f"{path.name}, {scheme}, {width}: {broken}")
                    calm = page.evaluate("getComputedStyle(document.documentElement).scrollBehavior")
                    self.expect(calm == "auto", f"{path.name}: scrolls smoothly where motion is to be reduced")
                page.context.close()


def check(folder: Path) -> list[str]:
    """Everything that is wrong with a report, in words."""
    with opened() as browser:
        looker = Looker(browser, folder)
        for look in (looker.open_all, looker.use_index, looker.follow_links, looker.check_rules):
            look()
        return looker.wrong


def pictures(folder: Path, out: Path) -> None:
    """Pictures of the index and of the first candidate's page."""
    out.mkdir(parents=True, exist_ok=True)
    with opened() as browser:
        looker = Looker(browser, folder)
        for scheme in SCHEMES:
            for width in WIDTHS:
                page = looker.page(width, scheme)
                for name, path in (
                    ("index", looker.folder / "index.html"),
                    *(("candidate", one) for one in looker.pages[:1]),
                ):
                    page.goto(path.as_uri())
                    page.screenshot(path=out / f"{name}-{scheme}-{width}.png", full_page=True)
                page.context.close()


def times(folder: Path) -> dict[str, float]:
    """Milliseconds until filter and sort are laid out anew; the median of five tries."""
    script = """async ([kind, value]) => {
        const taken = [];
        for (let attempt = 0; attempt < 5; attempt += 1) {
            const start = performance.now();
            if (kind === "sort") document.querySelectorAll("#candidates thead button")[value].click();
            else {
                const words = document.getElementById("words");
                words.value = attempt % 2 ? "" : value;
                words.dispatchEvent(new Event("input"));
            }
            document.body.getBoundingClientRect();
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            taken.push(performance.now() - start);
        }
        return taken.sort((a, b) => a - b)[2];
    }"""
    with opened() as browser:
        page = Looker(browser, folder).page(1500)
        page.goto((folder.resolve() / "index.html").as_uri())
        load = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        names = page.locator("#candidates thead button").all_inner_texts()
        found = {f"sort by {name}": page.evaluate(script, ["sort", place]) for place, name in enumerate(names)}
        return {"open": load, "filter": page.evaluate(script, ["filter", "rapid change"]), **found}


def main() -> int:
    parser = argparse.ArgumentParser(description="Look at a report in a browser.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=Path, metavar="OUT")
    parser.add_argument("--times", action="store_true")
    asked = parser.parse_args()
    if lacking := missing():
        print(f"Skipped, nothing was checked: {lacking}.")
        return 0
    if asked.pictures:
        pictures(asked.folder, asked.pictures)
        return 0
    if asked.times:
        for name, milliseconds in times(asked.folder).items():
            print(f"{milliseconds:7.0f} ms  {name}")
        return 0
    wrong = check(asked.folder)
    print("\n".join(wrong) or "Nothing is wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
