"""What the documentation names is there: tests, pages, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skysy.cli.commands import app

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TESTS = {
    name
    for path in (ROOT / "tests").glob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
}


def test_every_test_that_the_list_of_faults_names_is_there() -> None:
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/])(test_\w{12,})(\.\.\.)?(?!\w*\.py)", text)
    assert len(named) > 50
    missing = [
        name for name, cut in named if name not in TESTS and not (cut and any(one.startswith(name) for one in TESTS))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_and_picture_that_a_page_links_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_there(page: Path) -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    shown = re.findall(r"(?:`|\$ |    |bin/)skysy ([a-z]+)", page.read_text(encoding="utf-8"))
    assert set(shown) - known == set()
