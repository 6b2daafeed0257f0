"""What the documentation names is there: tests, pages, commands; what is written from SQL and commands says what those say."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from skysy.cli.commands import COMMANDS
from skysy.models.project import load_project

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
    shown = re.findall(r"(?:`|\$ |    |bin/)skysy ([a-z]+)", page.read_text(encoding="utf-8"))
    assert set(shown) - set(COMMANDS) == set()


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    """docs/generate.py, which is no part of the package."""
    sys.path.insert(0, str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "docs"))


def test_pages_written_from_sql_and_commands_are_as_those_are(generate: ModuleType) -> None:
    stale = [path.name for path, text in generate.pages().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def test_every_column_cut_and_parameter_has_its_line() -> None:
    tables = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    cuts = (ROOT / "docs" / "cuts.md").read_text(encoding="utf-8")
    project = load_project("skymapper_dr2")
    for model in project.models:
        section = re.split(r"\n##+ ", tables.split(f"\n### {model.name}\n")[1])[0]
        lines = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
        assert [line[0].strip("| `") for line in lines] == [column.name for column in model.columns]
        assert all(len(line) == 5 and line[4].strip(" |") for line in lines), model.name
    for name, parameter in project.parameters.items():
        assert f"| `{name}` | `{parameter.value_sql}` | {parameter.unit or ''} | " in cuts
    [_, selection, measured, *_] = cuts.split("\n## ")
    for model, text in (("cut_flow", selection), ("measurement_flow", measured)):
        named = [line.split("`")[1] for line in text.splitlines() if re.match(r"\| \d+ \| `", line)]
        sql = project.model(model).sql
        assert named == [
            *re.findall(r"struct_pack\(cut := '(\w+)'", sql),
            *re.findall(r"'(one_per_image)' AS cut", sql),
        ]


def test_a_change_in_the_sql_makes_its_page_stale(generate: ModuleType, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(ROOT / "sql", tmp_path / "sql", ignore=shutil.ignore_patterns("__pycache__")))
    before = generate.tables_page(load_project("skymapper_dr2")), generate.cuts_page(load_project("skymapper_dr2"))
    path = copy / "20_intermediate" / "int_selection__cuts.sql"
    path.write_text(
        path.read_text(encoding="utf-8").replace("-- red as observed", "-- redder than most"), encoding="utf-8"
    )
    changed = load_project("skymapper_dr2", copy)
    for was, now in zip(before, (generate.tables_page(changed), generate.cuts_page(changed)), strict=True):
        assert [new for old, new in zip(was.splitlines(), now.splitlines(), strict=True) if old != new] != []
        assert "redder than most" in now
