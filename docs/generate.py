"""docs/tables.md and docs/cuts.md, written from the SQL itself: headers, column comments, cuts and parameters.

docs/cli.md is written from the commands (cli_page.py). `make docs` or `python docs/generate.py` writes the pages, `make docs-check`
and tests/test_docs.py compare. What they say is changed in sql/ and skysy/cli/, never in the pages.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import cli_page

from skysy.contract import load_contract
from skysy.models.files import Model
from skysy.models.parameters import Parameter, read_parameters
from skysy.models.project import PARAMETER_FILE, STAGING, Project, load_project

ROOT = Path(__file__).parent.parent
RELEASE = "skymapper_dr2"
FOLDERS = {
    RELEASE: "Staging: the archive's tables, names and decimals made the house's",
    "20_intermediate": "Intermediate: matched, cut, put into sequences",
    "30_marts": "Marts: what is asked for",
}
_WRITTEN_CLI = "<!-- Written by docs/cli_page.py from skysy/cli/; change it there, then `make docs`. -->\n"
_WRITTEN = "<!-- Written by docs/generate.py from sql/; change it there, then `make docs`. -->\n"
_CONDITION = re.compile(r"^\s+(?:WHERE |AND |(?=JOIN ))(?P<condition>.+?)\s+-- (?P<reason>.+)$", re.MULTILINE)
_FLOW_NAME = re.compile(r"struct_pack\(cut := '(\w+)'")
_SOURCE = re.compile(r"^(?P<what>.*?)\s+\((?P<source>(?:[^()]|\([^()]*\))*)\)$")
_CUT = re.compile(
    r"^    CAST\((?P<condition>(?:(?!--).)+?) AS BOOLEAN\) AS (?P<name>\w+),?\s+-- ", re.MULTILINE | re.DOTALL
)
_TRI_STATE = re.compile(r"CASE WHEN (?P<known>\w+) IS NOT NULL THEN (?P<condition>.+) END")


def pages() -> dict[Path, str]:
    """Each generated page and its text."""
    project = load_project(RELEASE)
    return {
        ROOT / "docs" / "tables.md": tables_page(project),
        ROOT / "docs" / "cuts.md": cuts_page(project),
        ROOT / "docs" / "cli.md": cli_page.page(_WRITTEN_CLI),
    }


def main(check: bool) -> int:
    """Write the pages, or with `check` only name those that the SQL has left behind; returns how many those are."""
    stale = 0
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale += 1
            print(f"{path.name}{': sql/ or skysy/cli/ says something else now' if check else ' written'}")
            if not check:
                path.write_text(text, encoding="utf-8")
    return stale if check else 0


def _folder(model: Model) -> str:
    """The folder of FOLDERS that a model belongs to; staging that releases share lies above that of the release."""
    name = model.path.parent.name
    return RELEASE if name == STAGING else name


def tables_page(project: Project) -> str:
    """Every table and view of a build, folder by folder, with all its columns."""
    by_folder = {folder: [one for one in project.models if _folder(one) == folder] for folder in FOLDERS}
    ordered = [model for models in by_folder.values() for model in models]
    parts = [
        "# The tables and views of a build\n",
        _WRITTEN,
        _prose(
            f"A build of `{RELEASE}` makes {len(ordered)} tables and views in the schema `main`. The same words stand in the",
            "warehouse as COMMENTs and go out with every export. Units are VOUnits, UCDs those of the IVOA; a column without a",
            "unit is a number, a name or a code. Thresholds and their reasons: [cuts.md](cuts.md); formulas:",
            "[formulas.md](formulas.md); words: [glossary.md](glossary.md).",
        ),
        _table(("name", "kind", "one row per", "what it is"), [_summary(model) for model in ordered]),
    ]
    for folder, models in by_folder.items():
        parts.append(f"## {FOLDERS[folder]}\n")
        parts += [_model(model, project) for model in models]
    parts.append("## What they are made from\n")
    parts.append(
        _prose(
            "Loading, not building, makes the archive's own tables, under the archive's own names. All their columns are in",
            f"[`sql/contract/{RELEASE}.yaml`](../sql/contract/{RELEASE}.yaml). The schema `meta` keeps what was loaded and",
            "built, and how.",
        )
    )
    contract = load_contract(RELEASE)
    parts.append(
        _table(
            ("name", "grain", "key", "what it is"),
            [(_code(one.name), one.grain, _codes(one.key), one.description) for one in contract.tables],
        )
    )
    return "\n".join(parts)


def cuts_page(project: Project) -> str:
    """Every cut in its order with its reason, and every parameter with its value, unit and source."""
    parts = [
        "# The cuts, in order, and their parameters\n",
        _WRITTEN,
        _prose(
            'How many objects each cut takes: `skysy sql "FROM cut_flow"`; detections: `skysy sql "FROM measurement_flow"`. What',
            "they do to one star: `skysy why OBJECT_ID`.",
        ),
        "## The selection of luminous red objects\n",
        _prose(
            "Columns of `int_selection__cuts`, in the order of `cut_flow`. An object is in the sample where each of the first",
            "nineteen is TRUE; a cut whose value is missing is NULL, does not pass, and is counted apart. A cut that a release",
            "cannot make at all (`cuts_not_available`) takes nobody, and `cut_flow` says so.",
        ),
        _table(("step", "cut", "passes where", "meaning", "parameters"), _selection(project)),
        "## The single detections that count\n",
        "Conditions of `measurements`, under the names of `measurement_flow`.\n",
        _table(("step", "cut", "kept where", "reason", "parameters"), _measurements(project)),
        "## Parameters\n",
        _prose(
            "All of [`sql/00_parameters.sql`](../sql/00_parameters.sql). Another value for one build: `skysy build --set",
            "j_mag_max=13.5`; for good: `--parameters FILE`. Lucy 2021 is the talk, Lucy 2024 is arXiv:2412.00855; *this",
            "project* marks a choice made here.",
        ),
    ]
    for title, parameters in _groups(project):
        parts.append(f"### {title}\n")
        parts.append(
            _table(
                ("parameter", "value", "unit", "what it does", "from", "read by"),
                [_parameter(one, project) for one in parameters],
            )
        )
    parts.append(_other_releases())
    return "\n".join(part for part in parts if part)


def _summary(model: Model) -> tuple[str, ...]:
    return f"[`{model.name}`](#{model.name})", model.kind, _per(model), model.purpose


def _model(model: Model, project: Project) -> str:
    readers = [one.name for one in project.models if model.name in one.inputs]
    facts = [
        ("one row per", _per(model)),
        ("key", _codes(model.key)),
        ("reads", ", ".join(_link(name) for name in model.inputs)),
        ("read by", ", ".join(map(_link, readers))),
        ("source", model.source),
        ("NULL", model.nulls),
        ("rule", model.rule),
        ("parameters", ", ".join(f"[`{name}`](cuts.md#parameters)" for name in model.parameters)),
        ("engine", f"`{model.engine}` takes the place of the SQL in a build" if model.engine else ""),
    ]
    columns = [
        (_code(one.name), one.type, one.unit or "", f"`{one.ucd}`" if one.ucd else "", one.description)
        for one in model.columns
    ]
    where = model.path.relative_to(model.path.parents[2 if model.path.parent.name == RELEASE else 1])
    return "\n".join(
        (
            f"### {model.name}\n",
            _prose(
                f"{model.purpose[0].upper()}{model.purpose[1:]} A {model.kind}, made by",
                f"[`sql/{where}`](../sql/{where}).",
            ),
            _table(("", ""), [fact for fact in facts if fact[1]]),
            _table(("column", "type", "unit", "UCD", "what it is"), columns),
        )
    )


def _per(model: Model) -> str:
    return model.grain.removeprefix("one row per ")


def _selection(project: Project) -> list[tuple[str, ...]]:
    model, flow = project.model("int_selection__cuts"), project.model("cut_flow")
    meanings = {column.name: column.description for column in model.columns}
    rows = []
    for found in _CUT.finditer(model.sql):
        condition, parameters = _read(found["condition"])
        tri_state = _TRI_STATE.fullmatch(condition)
        shown = f"`{tri_state['condition']}`; NULL without `{tri_state['known']}`" if tri_state else _code(condition)
        rows.append((str(len(rows) + 1), _code(found["name"]), shown, meanings[found["name"]], _codes(parameters)))
    names = _FLOW_NAME.findall(flow.sql)
    if [_code(name) for name in names[:-1]] != [row[1] for row in rows]:
        raise SystemExit("cut_flow does not count the cuts of int_selection__cuts in their order.")
    last = "u-g and u-v were both measured; objects without them stay in `sample` and have no density score"
    return [*rows, (str(len(names)), _code(names[-1]), "`ug_mag IS NOT NULL AND uv_mag IS NOT NULL`", last, "")]


def _measurements(project: Project) -> list[tuple[str, ...]]:
    model, flow = project.model("measurements"), project.model("measurement_flow")
    found = _CONDITION.findall(model.sql)
    names = _FLOW_NAME.findall(flow.sql)
    if len(names) != len(found):
        raise SystemExit("measurement_flow does not count as many cuts as measurements has conditions with a reason.")
    rows = []
    for name, (condition, reason) in zip(names, found, strict=True):
        shown, parameters = _read(condition)
        rows.append((str(len(rows) + 1), _code(name), _code(shown), reason, _codes(parameters)))
    kept = "first of its object and exposure"
    why = "copies and split detections: used in the mean, then smaller error, then brighter, then lower CCD"
    return [*rows, (str(len(rows) + 1), _code("one_per_image"), kept, why, "")]


def _read(condition: str) -> tuple[str, list[str]]:
    """A condition as one reads it, on one line and with parameters by their names; and those names."""
    text = re.sub(r"CAST\((getvariable\('\w+'\)) AS FLOAT\)", r"\1", " ".join(condition.split()))
    return re.sub(r"getvariable\('(\w+)'\)", r"\1", text), re.findall(r"getvariable\('(\w+)'\)", text)


def _groups(project: Project) -> list[tuple[str, list[Parameter]]]:
    """Headings of 00_parameters.sql, each with the parameters under it."""
    path = project.model("sample").path.parents[1] / PARAMETER_FILE
    groups: list[tuple[str, list[Parameter]]] = []
    heading = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-- "):
            heading = line.removeprefix("-- ").rstrip(".")
        elif line.startswith("SET VARIABLE "):
            if not groups or groups[-1][0] != heading:
                groups.append((heading, []))
            groups[-1][1].append(project.parameters[line.split()[2]])
    return groups


def _parameter(one: Parameter, project: Project) -> tuple[str, ...]:
    readers = [model.name for model in project.models if one.name in model.parameters]
    what, source = what_and_source(one)
    return (
        _code(one.name),
        _code(one.value_sql),
        one.unit or "",
        what,
        source,
        ", ".join(map(_link, readers)) or "sql/archive",
    )


def what_and_source(one: Parameter) -> tuple[str, str]:
    """A parameter's comment in two: what it does, and where the value is from."""
    found = _SOURCE.match(one.description)
    return (found["what"], found["source"]) if found else (one.description, "*this project*")


def _other_releases() -> str:
    """Values that another release has for itself."""
    rows = [
        (one.name, path.parent.name, one.value_sql, one.description)
        for path in sorted((ROOT / "sql" / "10_staging").glob(f"*/{PARAMETER_FILE}"))
        for one in read_parameters(path, path.name).values()
    ]
    if not rows:
        return ""
    shown = [(_code(name), _code(release), _code(value), what) for name, release, value, what in rows]
    return "### Values of other releases\n\n" + _table(("parameter", "release", "value", "why"), shown)


def _link(name: str) -> str:
    return _code(name) if "." in name else f"[`{name}`](tables.md#{name})"


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(map(_code, names))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell does not end it."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in (head, *rows)]
    return "\n".join([lines[0], "|--" * len(head) + "|", *lines[1:]]) + "\n"


def _prose(*sentences: str) -> str:
    """A paragraph in lines of the length that the other pages have."""
    return textwrap.fill(" ".join(sentences), 128, break_long_words=False, break_on_hyphens=False) + "\n"


if __name__ == "__main__":
    sys.exit(1 if main(check="--check" in sys.argv[1:]) else 0)
