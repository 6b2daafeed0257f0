"""`followup` says SkySy, SkySyC, neither or undecided by the criteria of Lucy 2021, and takes no silence for a no."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import DR2, ENGINES, Laboratory, Row, Sky, detection, exposures, fill, red_giant, table_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skysy.loaders.load import load_directory
from typer.testing import CliRunner

from skysy.cli.commands import app
from skysy.config import Settings
from skysy.errors import AuditFailed, ContractError, ValueDamaged
from skysy.models.build import run_build
from skysy.models.project import Project, load_project
from skysy.store import create, open_warehouse

ASKED = (True, False, None)
EMISSION = {"h_alpha_flux": 9.0, "h_beta_flux": 2.0, "h_gamma_flux": 1.0, "h_delta_flux": 0.5}
NIGHT = {"observed_on": "2021-03-04", "instrument": "WiFeS", "is_extinction_corrected": True}

# is_cool_giant, H alpha strongest, S or carbon star, He I, ion above 35 eV, flickering, X-rays -> verdict
BY_HAND = [
    ((True, None, None, None, True, None, None), "SkySy"),  # a cool giant with a high ion is enough
    ((True, None, None, None, None, True, None), "SkySy"),
    ((True, None, None, None, None, None, True), "SkySy"),
    ((True, False, True, False, False, False, True), "SkySy"),  # whatever its Balmer lines
    ((True, True, False, None, None, None, None), "SkySyC"),
    ((True, True, True, True, False, False, False), "SkySyC"),  # He I saves an S star
    ((True, True, None, True, None, None, None), "SkySyC"),
    ((True, True, True, False, False, False, False), "neither"),
    ((True, True, True, False, None, False, False), "undecided"),  # nobody looked for high ions
    ((True, True, True, None, False, False, False), "undecided"),  # nor for He I
    ((True, True, None, False, False, False, False), "undecided"),
    ((True, False, False, None, False, False, False), "neither"),
    ((True, False, False, None, False, None, False), "undecided"),
    ((True, None, False, None, False, False, False), "undecided"),
    ((True, None, None, None, None, None, None), "undecided"),
    ((False, True, False, True, True, True, True), "neither"),  # no cool giant, no symbiotic star
    ((False, None, None, None, None, None, None), "neither"),
    ((None, True, False, True, True, True, True), "undecided"),
    ((None, False, False, False, False, False, False), "neither"),  # fails whatever it is
    ((None, None, None, None, None, None, None), "undecided"),
]


@cache
def science(*settings: str) -> Project:
    """The science under these `name=value` words, read once."""
    return load_project(DR2, settings=settings)


Answers = tuple[bool | None, ...]


def observation(object_id: int, answers: Answers, **others: Any) -> dict[str, Any]:
    """A row that answers the seven questions so."""
    giant, balmer, peculiar, he_i, ion, flickering, xrays = answers
    lines = {True: EMISSION, False: {**EMISSION, "h_beta_flux": 9.5}, None: {"h_alpha_flux": 9.0}}[balmer]
    return {
        "object_id": object_id, **NIGHT, "is_cool_giant": giant, **lines,
        "star_class": {True: "S", False: "M", None: None}[peculiar], "he_i": he_i,
        "ionisation_potential_ev": {True: 54.4, False: 24.6, None: None}[ion],
        "highest_ion": {True: "He II", False: "He I", None: None}[ion],
        "is_flickering_validated": flickering, "xray_hard_photons": xrays, **others,
    }  # fmt: skip


@pytest.fixture
def bench(laboratory: Laboratory) -> Iterator[Laboratory]:
    """The laboratory with no follow-up in it, before and after."""
    yield laboratory
    laboratory.put({"followup.observations": [], "dr2.master": []})


def verdicts(bench: Laboratory, rows: Sequence[Row], masters: Sequence[Row] = ()) -> dict[int, dict[str, Any]]:
    """The rows of followup by object_id."""
    bench.put({"followup.observations": rows, "dr2.master": masters})
    return {row["object_id"]: row for row in bench.rows("FROM followup")}


def test_the_verdicts_are_those_of_the_table_by_hand(bench: Laboratory) -> None:
    found = verdicts(bench, [observation(number, answers) for number, (answers, _) in enumerate(BY_HAND)])
    assert [found[number]["verdict"] for number in range(len(BY_HAND))] == [verdict for _, verdict in BY_HAND]


def all_of(answers: Sequence[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True


def any_of(answers: Sequence[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def inverse(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def seen_at_all(answers: Sequence[bool | None]) -> bool | None:
    """Of several observations: seen in one is seen; else a no is a no; else nobody looked."""
    return True if True in answers else False if False in answers else None


def agreed(answers: Sequence[bool | None]) -> bool | None:
    known = {answer for answer in answers if answer is not None}
    return known.pop() if len(known) == 1 else None


def rule(observations: Sequence[Answers]) -> tuple[Answers, str]:
    """The rule in plain Python: what the observations say together, and the verdict."""
    columns = list(zip(*observations, strict=True))
    giant, peculiar = agreed(columns[0]), agreed(columns[2])
    balmer, he_i, ion, flickering, xrays = (seen_at_all(columns[place]) for place in (1, 3, 4, 5, 6))
    confirmed = all_of([giant, any_of([ion, flickering, xrays])])
    candidate = all_of([giant, balmer, any_of([inverse(peculiar), he_i])])
    verdict = "undecided"
    if confirmed:
        verdict = "SkySy"
    elif candidate:
        verdict = "SkySyC"
    elif confirmed is False and candidate is False:
        verdict = "neither"
    return (giant, balmer, peculiar, he_i, ion, flickering, xrays), verdict


COLUMNS = (
    "is_cool_giant", "is_alpha_strongest", "is_s_or_carbon", "he_i", "has_high_ion", "is_flickering_validated", "xray_hard_photons",
)  # fmt: skip


def hold(bench: Laboratory, stars: Mapping[int, Sequence[Answers]]) -> None:
    rows = [observation(star, answers, notes=str(n)) for star, seen in stars.items() for n, answers in enumerate(seen)]
    found = verdicts(bench, rows)
    assert set(found) == set(stars)
    for star, seen in stars.items():
        together, verdict = rule(seen)
        assert tuple(found[star][name] for name in COLUMNS) == together
        assert found[star]["verdict"] == verdict
        clashing = [{True, False} <= set(column) for column in zip(*seen, strict=True)]
        words = (
            "a cool giant",
            "Balmer lines",
            "an S or carbon star",
            "He I",
            "high ions",
            "flickering",
            "hard X-rays",
        )
        told = set((found[star]["disagreements"] or "").split(", ")) - {""}
        assert told == {word for word, clash in zip(words, clashing, strict=True) if clash}


def test_every_set_of_answers_of_one_observation_is_judged_by_the_rule(bench: Laboratory) -> None:
    hold(bench, {number: [answers] for number, answers in enumerate(product(ASKED, repeat=7))})


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stars=st.lists(st.lists(st.tuples(*[st.sampled_from(ASKED)] * 7), min_size=1, max_size=4), min_size=1, max_size=20)
)
def test_several_observations_are_judged_together_by_the_rule(bench: Laboratory, stars: list[list[Answers]]) -> None:
    hold(bench, dict(enumerate(stars)))


def ccm(angstrom: float) -> float:
    """A(lambda) / E(B-V) for R_V = 3.1: Cardelli, Clayton and Mathis 1989, equations 1 and 3."""
    y = 1e4 / angstrom - 1.82
    a = (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
    b = (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)
    return sum((3.1 * p + q) * y**n for n, (p, q) in enumerate(zip(a, b, strict=True)))


def test_the_extinction_of_the_lines_is_that_of_cardelli_clayton_and_mathis() -> None:
    told = load_project(DR2, only=("followup",)).parameters["balmer_extinction"].value_sql
    assert json.loads(told) == [round(ccm(line), 3) for line in (6562.8, 4861.3, 4340.5, 4101.7)]


def test_fluxes_are_corrected_with_their_own_reddening_else_the_catalogues_else_not_compared(bench: Laboratory) -> None:
    # As measured H alpha is twice H beta; the correction turns that round above this E(B-V).
    turn = 2.5 * 0.30103 / (ccm(4861.3) - ccm(6562.8))
    lines = {"h_alpha_flux": 2.0, "h_beta_flux": 1.0, "h_gamma_flux": 0.0, "h_delta_flux": 0.0}
    cases: list[tuple[dict[str, Any], float | None, bool | None]] = [
        ({"is_extinction_corrected": True, "e_b_v": 3.0}, 3.0, True),
        ({"is_extinction_corrected": False, "e_b_v": turn * 0.99}, 3.0, True),
        ({"is_extinction_corrected": False, "e_b_v": turn * 1.01}, 0.0, False),
        ({"is_extinction_corrected": False}, turn * 0.99, True),
        ({"is_extinction_corrected": False}, turn * 1.01, False),
        ({"is_extinction_corrected": False}, None, None),
        ({"is_extinction_corrected": None, "e_b_v": 0.0}, 0.0, None),
    ]
    rows = [{"object_id": n, **NIGHT, **lines, **case} for n, (case, _, _) in enumerate(cases)]
    masters = [{"object_id": n, "ebmv_sfd": ebmv} for n, (_, ebmv, _) in enumerate(cases)]
    found = verdicts(bench, rows, masters)
    assert [found[n]["is_alpha_strongest"] for n in range(len(cases))] == [answer for _, _, answer in cases]
    with_catalogue = [n for n in found if "corrected with the catalogue's E(B-V)" in found[n]["verdict_reason"]]
    assert with_catalogue == [3, 4]
    assert "nobody says whether they are corrected" in found[6]["verdict_reason"]


@pytest.mark.parametrize(
    ("fluxes", "answer"),
    [
        ((3.0, 2.0, 1.0, 0.0), True),
        ((2.0, 2.0, 1.0, 0.0), False),  # equal is not above
        ((3.0, 2.0, 1.0, 3.5), False),  # any of the higher ones
        ((3.0, 2.0, 1.0, None), None),
        ((3.0, 4.0, None, None), False),  # one that is not below is enough
        ((0.0, 0.0, 0.0, 0.0), False),
        ((-1.0, -2.0, -3.0, -4.0), False),  # H alpha in absorption is no emission
        ((None, 2.0, 1.0, 0.0), None),
    ],
)
def test_h_alpha_must_be_in_emission_and_above_every_higher_line(
    bench: Laboratory, fluxes: tuple[float | None, ...], answer: bool | None
) -> None:
    names = ("h_alpha_flux", "h_beta_flux", "h_gamma_flux", "h_delta_flux")
    found = verdicts(bench, [{"object_id": 1, **NIGHT, **dict(zip(names, fluxes, strict=True))}])
    assert found[1]["is_alpha_strongest"] is answer


def test_the_limit_of_the_ion_is_a_parameter_and_strict(bench: Laboratory) -> None:
    rows = [{"object_id": n, **NIGHT, "ionisation_potential_ev": ev} for n, ev in enumerate((35.0, 35.1, 54.4))]
    assert [row["has_high_ion"] for row in verdicts(bench, rows).values()] == [False, True, True]
    bench.con.execute("SET VARIABLE ion_ev_min = 40.0")
    try:
        found = verdicts(bench, rows)
    finally:
        bench.con.execute("SET VARIABLE ion_ev_min = 35.0")
    assert [found[n]["has_high_ion"] for n in range(3)] == [False, False, True]
    assert "no emission from an ion above 40.0 eV (highest ion, 35.1 eV)" in found[1]["verdict_reason"]


@pytest.mark.parametrize(
    ("star_class", "spectral_type", "answer"),
    [
        ("S", "M4", True), ("c", None, True), (" M ", "S4,2", False), (None, "M4 III", False), (None, "S4,2", True),
        (None, "SC5/8e", True), (None, "C-N5", True), ("", "K5", False), (None, "?", None), (None, None, None),
    ],
)  # fmt: skip
def test_a_class_is_the_letters_told_or_those_of_the_spectral_type(
    bench: Laboratory, star_class: str | None, spectral_type: str | None, answer: bool | None
) -> None:
    row = {"object_id": 1, **NIGHT, "star_class": star_class, "spectral_type": spectral_type}
    assert verdicts(bench, [row])[1]["is_s_or_carbon"] is answer


def test_the_reason_tells_every_criterion_and_the_disagreements(bench: Laboratory) -> None:
    found = verdicts(
        bench,
        [
            observation(1, (True, True, False, None, False, None, None), observed_on="2019-01-01"),
            observation(
                1, (True, False, False, None, True, None, None), highest_ion="[O III]", ionisation_potential_ev=35.1
            ),
        ],
    )[1]
    assert found["verdict_reason"] == (
        "a cool giant; emission from an ion above 35.0 eV ([O III], 35.1 eV); flickering not asked; hard X-rays not asked; "
        "H alpha above all higher Balmer lines; no S or carbon star; He I not asked; "
        "observations disagree on high ions, Balmer lines"
    )
    assert found["n_observations"] == 2
    assert (str(found["first_observed_on"]), str(found["last_observed_on"])) == ("2019-01-01", "2021-03-04")


def test_the_same_row_twice_is_one_observation(bench: Laboratory) -> None:
    row = observation(1, (True,) * 7)
    assert verdicts(bench, [row, row])[1]["n_observations"] == 1


def test_without_a_record_the_table_is_empty(simulated: Sky) -> None:
    assert table_rows(simulated.settings, "FROM followup") == []


HEADER = "object_id,observed_on,instrument,is_cool_giant,h_alpha_flux,ionisation_potential_ev,is_flickering_validated"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A directory with a followup.csv of HEADER alone."""
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / "followup.csv").write_text(f"{HEADER}\n", encoding="utf-8")
    return directory


def write(directory: Path, *lines: str, header: str = HEADER) -> None:
    (directory / "followup.csv").write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")


def load(tmp_path: Path, directory: Path) -> Settings:
    where = Settings(tmp_path / "warehouse", "1GB", 1)
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        load_directory(warehouse, DR2, directory)
    return where


def test_an_unknown_spelling_of_a_boolean_is_refused_with_its_place(tmp_path: Path, record: Path) -> None:
    write(record, "1000,2021-03-04,WiFeS,true,,,", "2000,2021-03-05,WiFeS,yes,,,")
    with pytest.raises(ValueDamaged, match=r"followup.csv, line 3, column is_cool_giant .* 'yes' cannot be BOOLEAN"):
        load(tmp_path, record)


def test_a_record_without_its_key_is_refused(tmp_path: Path, record: Path) -> None:
    write(record, "2021-03-04,true", header="observed_on,is_cool_giant")
    with pytest.raises(ContractError, match=r"column object_id of followup\.observations is missing"):
        load(tmp_path, record)


def test_values_that_cannot_be_are_found_by_the_audit(bench: Laboratory) -> None:
    good = {**NIGHT, **EMISSION, "e_b_v": 0.0, "ionisation_potential_ev": 0.0}
    bad = [
        ({"observed_on": "04.03.2021"}, "observed_on is no date as YYYY-MM-DD"),
        ({"observed_on": "2021-02-30"}, "observed_on is no date as YYYY-MM-DD"),
        ({"e_b_v": -0.1}, "e_b_v"),
        ({"ionisation_potential_ev": float("nan")}, "ionisation_potential_ev"),
        ({"ionisation_potential_ev": -1.0}, "ionisation_potential_ev"),
        ({"h_delta_flux": float("inf")}, "a flux"),
    ]
    rows = [{"object_id": n, **good, **change} for n, (change, _) in enumerate(bad)]
    nothing_told = {"object_id": 99, "observed_on": None}
    bench.put({"followup.observations": [*rows, {"object_id": 98, **good}, nothing_told]})
    sql = Path(__file__).parent.parent / "sql" / "audits" / DR2 / "aud_followup__values.sql"
    found = {row["object_id"]: row["what"] for row in bench.rows(sql.read_text(encoding="utf-8"))}
    assert found == {n: what for n, (_, what) in enumerate(bad)}


def test_a_date_that_is_none_stops_the_build(tmp_path: Path, record: Path) -> None:
    write(record, "1000,04.03.2021,WiFeS,true,,,")
    where = load(tmp_path, record)
    with open_warehouse(where, write=True) as warehouse, pytest.raises(AuditFailed, match=r"04\.03\.2021"):
        run_build(warehouse, science(), engines=ENGINES)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse of one candidate, followed up twice, and of a row about a stranger."""
    images = exposures(20150101120000, "uvg", 57000.5)
    seen = [detection(1000, image, 15.0, 0.01) for image in images]
    record = tmp_path_factory.mktemp("followed")
    where = Settings(record / "warehouse", "1GB", 1)
    write(
        record,
        "1000,2021-03-04,WiFeS,true,,54.4,",
        "1000,2021-03-04,WiFeS,true,,54.4,false",
        "999,2021-03-04,WiFeS,true,,,",
    )
    create(where)
    with open_warehouse(where, write=True) as warehouse:
        fill(warehouse, DR2, {**red_giant(1000), "dr2.images": images, "dr2.photometry": seen})
        load_directory(warehouse, DR2, record)
        run_build(warehouse, science("density_ln_max=100.0"), engines=ENGINES)
    return where


def told(where: Settings, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--warehouse", str(where.warehouse)])
    assert result.exit_code == 0
    return result.stdout


def test_the_commands_tell_the_verdict_and_the_build_warns_of_what_is_odd(followed: Settings) -> None:
    warned = table_rows(followed, "SELECT audit, offenders AS n FROM meta.audit WHERE offenders > 0 ORDER BY audit")
    assert warned == [{"audit": "aud_followup__in_catalogue", "n": 1}, {"audit": "aud_followup__one_row", "n": 1}]
    verdict = "SkySy. a cool giant; emission from an ion above 35.0 eV (highest ion, 54.4 eV);"
    assert f"Follow-up (2 observations): {verdict}" in told(followed, "why", "1000")
    assert json.loads(told(followed, "why", "1000", "--json"))["followup"]["verdict"] == "SkySy"
    assert "     follow-up: SkySy: a cool giant; emission" in told(followed, "candidates")
    assert json.loads(told(followed, "candidates", "--json"))[0]["verdict"] == "SkySy"


def test_a_build_of_before_there_were_verdicts_is_still_told(followed: Settings, tmp_path: Path) -> None:
    old = Settings(tmp_path / "old", "1GB", 1)
    shutil.copytree(followed.warehouse, old.warehouse)
    with duckdb.connect(str(old.database)) as con:
        con.execute("DROP TABLE followup")
    assert "follow-up" not in told(old, "candidates").lower()
    assert "Follow-up" not in told(old, "why", "1000")
