"""The selection's cuts: where each limit lies to the last digit, what a missing value does, and how the counts add up."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import independent
from conftest import Laboratory, Row, red_giant, together
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RAW = {
    "master": "dr2.master",
    "twomass": "ext.twomass_psc",
    "gaia": "ext.gaia_dr2",
    "allwise": "ext.allwise",
    "distance": "gaiadr2_complements.geometric_distance",
}
EMPTY: dict[str, list[Any]] = {table: [] for table in RAW.values()}

# the independent cut, the column of int_selection__cuts
CUTS = {
    "twomass": "twomass_match", "gaia": "gaia_match", "allwise": "allwise_match", "prox": "isolated",
    "ph_qual": "ph_qual_aaa", "gal_contam": "gal_contam_none", "ext_key": "not_extended", "cc_flg": "cc_flg_clean",
    "class_star": "class_star", "flags_psf": "flags_psf_clean", "u_ngood": "u_observed", "v_ngood": "v_observed",
    "g_ngood": "g_observed", "nch_max": "single_child", "jk": "red_jk", "j": "bright_j",
    "distance": "distance_converged", "jk0": "red_jk0", "abs_j": "luminous_mj",
}  # fmt: skip
T, F, N = True, False, None


def answers(laboratory: Laboratory, tables: Mapping[str, Any]) -> dict[int, dict[str, bool | None]]:
    """Every object's cuts by the SQL, under the independent names."""
    laboratory.put({**EMPTY, **tables})
    rows = laboratory.rows("FROM int_selection__cuts")
    return {row["object_id"]: {ours: row[theirs] for ours, theirs in CUTS.items()} for row in rows}


def expected(tables: Mapping[str, Any]) -> dict[int, dict[str, bool | None]]:
    """Every object's cuts by the independent rules, from the same raw rows."""
    stars = independent.catalogue(*(tables.get(table, []) for table in RAW.values()))
    return {object_id: independent.cuts(star) for object_id, star in stars.items()}


def d(text: str) -> Decimal:
    return Decimal(text)


# What is changed on a giant that passes every cut -> the answers that are not TRUE then.
BOUNDARIES: list[tuple[dict[str, Any], dict[str, bool | None]]] = [
    ({}, {}),
    ({"j_m": d("9.050"), "k_m": d("8.200"), "ebmv_sfd": 0.0}, {"jk": F, "jk0": F}),  # 0.850, which floats make 0.85000038
    ({"j_m": d("9.051"), "k_m": d("8.200"), "ebmv_sfd": 0.0}, {}),
    ({"j_m": d("9.052"), "k_m": d("8.200"), "ebmv_sfd": 0.0048}, {}),  # 0.852 - 0.0019824 = 0.8500176
    ({"j_m": d("9.052"), "k_m": d("8.200"), "ebmv_sfd": 0.0049}, {"jk0": F}),  # 0.852 - 0.0020237 = 0.8499763
    ({"j_m": d("9.052"), "k_m": d("8.200"), "ebmv_sfd": None}, {"jk0": N}),
    ({"j_m": d("9.089"), "k_m": d("7.000"), "ebmv_sfd": 3.0}, {"jk0": F}),  # 2.089 - 1.239 = 0.850, in doubles 0.8500000000000001
    ({"j_m": d("13.999"), "k_m": d("12.9"), "r_est": 9000.0}, {}),
    ({"j_m": d("14.000"), "k_m": d("12.9"), "r_est": 9000.0}, {"j": F}),
    ({"j_m": None}, {"jk": N, "j": N, "jk0": N, "abs_j": N}),
    ({"k_m": None}, {"jk": N, "jk0": N}),
    ({"prox": 6.0}, {"prox": F}),
    ({"prox": 6.001}, {}),
    ({"prox": 6.000003}, {}),
    ({"prox": None}, {"prox": N}),
    ({"twomass_dist": 2.0}, {"twomass": F}),
    ({"twomass_dist": 1.999997}, {}),
    ({"gaia_dr2_dist1": 2.0}, {"gaia": F}),
    ({"gaia_dr2_dist1": 1.999997}, {}),
    ({"allwise_dist": 3.0}, {"allwise": F}),
    ({"allwise_dist": 2.999997}, {}),
    ({"allwise_dist": None}, {"allwise": N}),
    ({"ext_key": 0}, {}),
    ({"ext_key": 7}, {"ext_key": F}),
    ({"ph_qual": "AAB"}, {"ph_qual": F}),
    ({"ph_qual": None}, {"ph_qual": N}),
    ({"cc_flg": "00d"}, {"cc_flg": F}),
    ({"cc_flg": None}, {"cc_flg": N}),
    ({"gal_contam": 1}, {"gal_contam": F}),
    ({"class_star": 0.9}, {"class_star": F}),
    ({"class_star": 0.9000004}, {}),
    ({"class_star": None}, {"class_star": N}),
    ({"flags_psf": 32}, {"flags_psf": F}),
    ({"nch_max": 2}, {"nch_max": F}),
    ({"nch_max": None}, {"nch_max": N}),
    ({"u_ngood": 0}, {"u_ngood": F}),
    ({"v_ngood": 0}, {"v_ngood": F}),
    ({"g_ngood": None}, {"g_ngood": N}),
    ({"result_flag": 0}, {"distance": F}),
    ({"result_flag": 0, "r_est": None}, {"distance": F, "abs_j": N}),
    ({"result_flag": 1, "r_est": None}, {"distance": F, "abs_j": N}),
    ({"result_flag": 2}, {}),
    ({"result_flag": None}, {"distance": N}),
    ({"j_m": d("5.000"), "k_m": d("4.000"), "r_est": 100.0}, {"abs_j": F}),  # M_J = 0
    ({"j_m": d("5.000"), "k_m": d("4.000"), "r_est": 100.001}, {}),
    ({"no": ("ext.twomass_psc",)}, {"twomass": N, "ph_qual": N, "gal_contam": N, "ext_key": N, "cc_flg": N, "jk": N, "j": N, "jk0": N, "abs_j": N}),
    ({"no": ("ext.gaia_dr2",)}, {"gaia": N}),
    ({"no": ("ext.allwise",)}, {"allwise": N}),
    ({"no": ("gaiadr2_complements.geometric_distance",)}, {"distance": N, "abs_j": N}),
    ({"twomass_key": None}, {"twomass": N, "ph_qual": N, "gal_contam": N, "ext_key": N, "cc_flg": N, "jk": N, "j": N, "jk0": N, "abs_j": N}),
    ({"gaia_dr2_id1": None}, {"gaia": N, "distance": N, "abs_j": N}),
]  # fmt: skip


def test_every_cut_is_strict_exact_and_null_where_its_value_is_missing(laboratory: Laboratory) -> None:
    stars = [red_giant(1000 + 10 * place, **changes) for place, (changes, _) in enumerate(BOUNDARIES)]
    found = answers(laboratory, together(*stars))
    for place, (changes, others) in enumerate(BOUNDARIES):
        assert found[1000 + 10 * place] == {**dict.fromkeys(CUTS, True), **others}, changes
    in_sample = {row["object_id"] for row in laboratory.rows("FROM sample")}
    assert in_sample == {1000 + 10 * place for place, (_, others) in enumerate(BOUNDARIES) if not others}


def test_the_independent_cuts_know_the_same_boundaries() -> None:
    for changes, others in BOUNDARIES:
        [star] = expected(red_giant(1000, **changes)).values()
        assert star == {**dict.fromkeys(CUTS, True), **others}, changes


def test_a_value_printed_like_the_limit_is_the_limit_whatever_its_nearest_float(laboratory: Laboratory) -> None:
    """0.98 as a 32-bit float is 0.98000002: it is not beyond a limit of 0.98."""
    tables = together(red_giant(10, class_star=0.98), red_giant(20, class_star=0.980001))
    with laboratory.under("class_star_min=0.98"):
        found = answers(laboratory, tables)
    assert [found[star]["class_star"] for star in (10, 20)] == [False, True]


def test_of_two_rows_of_one_object_the_same_is_kept_whatever_their_order(laboratory: Laboratory) -> None:
    """Rows that differ in one column only, whichever it is."""
    whole = red_giant(10)
    for table, name, other in (
        ("dr2.master", "class_star", 0.5),
        ("dr2.master", "ebmv_sfd", 4.0),
        ("dr2.master", "u_ngood", 0),
        ("dr2.master", "twomass_dist", 9.0),
        ("ext.twomass_psc", "cc_flg", "00d"),
    ):
        pair = [dict(whole[table][0]), {**whole[table][0], name: other}]
        kept = [answers(laboratory, {**whole, table: rows}) for rows in (pair, pair[::-1])]
        assert kept[0] == kept[1], (table, name)


def test_distances_that_count_as_converged_are_a_parameter(laboratory: Laboratory) -> None:
    tables = together(red_giant(10, result_flag=1), red_giant(20, result_flag=2))
    with laboratory.under("result_flags_allowed=[1]"):
        found = answers(laboratory, tables)
    assert [found[star]["distance"] for star in (10, 20)] == [True, False]


milli = st.integers(-3, 3).map(lambda k: Decimal(k) / 1000)


def near(centre: float, step: float) -> st.SearchStrategy[float | None]:
    """A decimal number at, beside or far from a limit, or missing."""
    return st.one_of(st.none(), st.integers(-2, 2).map(lambda k: round(centre + k * step, 6)), st.just(centre + 1))


@st.composite
def changed_giants(draw: st.DrawFn) -> dict[str, Any]:
    """Columns that differ from the giant's: numbers next to the limits, other flags, NULLs, absent rows."""
    k_m = draw(st.sampled_from([d("7.000"), d("8.200"), d("13.150")]))
    columns: dict[str, st.SearchStrategy[Any]] = {
        "prox": near(6.0, 0.001), "twomass_dist": near(2.0, 0.001), "gaia_dr2_dist1": near(2.0, 0.001),
        "allwise_dist": near(3.0, 0.001), "class_star": near(0.9, 0.0001), "flags_psf": st.sampled_from([0, 1, 32, None]),
        "nch_max": st.sampled_from([0, 1, 2, None]), "u_ngood": st.sampled_from([0, 1, None]),
        "v_ngood": st.sampled_from([0, 1, None]), "g_ngood": st.sampled_from([0, 1, None]),
        "ebmv_sfd": st.one_of(st.none(), st.integers(0, 100).map(lambda n: n / 1e4), st.just(-99.0)),
        "ph_qual": st.sampled_from(["AAA", "AAB", "UAA", None]), "cc_flg": st.sampled_from(["000", "0p0", None]),
        "gal_contam": st.sampled_from([0, 1, 2, None]), "ext_key": st.sampled_from([None, 0, 1, 2147483647]),
        "j_m": st.one_of(st.none(), milli.map(lambda m: k_m + d("0.850") + m), milli.map(lambda m: d("14") + m)),
        "k_m": st.one_of(st.none(), st.just(k_m)),
        "r_est": st.sampled_from([None, 10.0, 100.0, 481.9477977251913, 4350.0, 0.0]),
        "result_flag": st.sampled_from([None, 0, 1, 2]),
        "no": st.sampled_from([(table,) for table in list(RAW.values())[1:]]),
    }  # fmt: skip
    chosen = draw(st.lists(st.sampled_from(sorted(columns)), max_size=4, unique=True))
    return {name: draw(columns[name]) for name in chosen}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(changed_giants(), min_size=1, max_size=40))
def test_cuts_sample_and_flow_of_any_catalogue_equal_the_independent_ones(
    laboratory: Laboratory, changes: list[dict[str, Any]]
) -> None:
    stars = together(*(red_giant(1000 + 10 * place, **change) for place, change in enumerate(changes)))
    known: list[Row] = [
        {"object_id": 1000 + 10 * place, "name": f"star {place}"} for place in range(0, len(changes), 3)
    ]
    found, wanted = (
        answers(laboratory, {**stars, "known.objects": known, "dr2.photometry": []}),
        expected(stars),
    )
    assert found == wanted
    in_sample = {row["object_id"] for row in laboratory.rows("FROM sample")}
    assert in_sample == {star for star, cuts in wanted.items() if independent.passes(cuts.values())}
    check_flow(laboratory.rows("FROM cut_flow ORDER BY step"), wanted, {row["object_id"] for row in known}, {})


def check_flow(
    rows: list[dict[str, Any]],
    cuts: Mapping[int, Mapping[str, bool | None]],
    known: set[int],
    has_colours: Mapping[int, bool],
) -> None:
    """cut_flow equals a plain count of the cuts, then of the colours (`has_colours`: absent without measurements)."""
    names = [*CUTS.values(), "colour_snapshot"]
    assert [row["cut"] for row in rows] == names
    listed = {star: [*answer.values(), has_colours.get(star)] for star, answer in cuts.items()}
    whole = independent.flow(list(listed.values()))
    of_known = independent.flow([answer for star, answer in listed.items() if star in known])
    for place, row in enumerate(rows):
        step = whole[place]
        assert {name: row[name] for name in step.__dataclass_fields__} == vars(step), row["cut"]
        assert row["n_in"] == row["n_pass"] + row["n_fail"] + row["n_null"]
        counted = of_known[place] if of_known else independent.FlowStep(0, 0, 0, 0, 0, 0, 0)
        seen = (row["known_in"], row["known_pass"], row["known_fail"], row["known_null"])
        assert seen == (counted.n_in, counted.n_pass, counted.n_fail, counted.n_null), row["cut"]
