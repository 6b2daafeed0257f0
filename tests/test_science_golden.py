"""Numbers known beforehand, from raw REAL rows to the marts: a worked example and the published values of 22 stars.

The stars are the new symbiotic stars and candidates of Lucy et al. 2024 (arXiv:2412.00855). Their J, Ks, E(B-V),
distance, M_J, (J-Ks)0 and rapid delta-u sigma are published. The change in u and the two errors follow from each
sigma, as the smallest whole numbers of 1e-6 mag and of 1e-4 mag (at least 33) that give it.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from conftest import COLOUR_SEQUENCE, DR2, MakeArchive, Row, detection, exposures, red_giant, table_rows, together

from skysy.models.parameters import apply_built
from skysy.models.project import sql_of
from skysy.store import open_warehouse

NIGHT = 57000
SEQUENCE = 20141209130000

MAIN_MAGS = {"u": [15.10, 15.06, 15.12], "v": [14.900, 14.910, 14.905], "g": [13.30]}
MAIN_ERRS = {"u": [0.0033, 0.0040, 0.0052], "v": [0.0035, 0.0036, 0.0040], "g": [0.0033]}
SHALLOW = {"u": (15.60, 0.012), "v": (15.35, 0.009), "g": (13.70, 0.005)}


def main_sequence(object_id: int, images: list[dict[str, Any]], without_u: int | None = None) -> list[Row]:
    """The example's ten exposures; `without_u` leaves one of the three u away."""
    rows: list[Row] = []
    seen = dict.fromkeys("uvgriz", 0)
    for image in images:
        band, place = image["filter"], seen[image["filter"]]
        seen[band] += 1
        if band in MAIN_MAGS and not (band == "u" and place == without_u):
            rows.append(detection(object_id, image, MAIN_MAGS[band][place], MAIN_ERRS[band][place]))
    return rows


@pytest.fixture
def golden(make_archive: MakeArchive) -> Any:
    """Objects 10 (two nights), 20 and 30 (single bands a night), 40, 50, 60 (10 with one u exposure less)."""
    main = exposures(SEQUENCE, COLOUR_SEQUENCE, NIGHT + 0.54)
    shallow = exposures(20150108130000, "uvg", NIGHT + 30.54, image_type="fs", exp_time=40.0, step_min=0.8)
    two = exposures(20150201120000, "ug", NIGHT + 54.5, image_type="fs", exp_time=40.0)
    three = exposures(20150301120000, "uv", NIGHT + 82.5, image_type="fs", exp_time=40.0)
    four = exposures(20150401120000, "g", NIGHT + 113.5, image_type="fs", exp_time=5.0)
    photometry = [
        *main_sequence(10, main),
        *[detection(10, image, *SHALLOW[image["filter"]]) for image in shallow],
        detection(20, two[0], 15.5, 0.01), detection(20, two[1], 13.5, 0.01),
        detection(20, three[0], 15.5, 0.01), detection(20, three[1], 15.2, 0.01),
        detection(30, two[0], 15.5, 0.01), detection(30, four[0], 13.5, 0.01),
        *main_sequence(40, main, without_u=2), *main_sequence(50, main, without_u=1), *main_sequence(60, main, without_u=0),
    ]  # fmt: skip
    stars = [red_giant(object_id) for object_id in (10, 20, 30)]
    rows: dict[str, list[Row]] = {
        "dr2.images": [*main, *shallow, *two, *three, *four],
        "dr2.photometry": photometry,
        "known.objects": [{"object_id": 10, "name": "Golden"}],
    }
    return make_archive(together(*stars, rows))


def test_worked_example_gives_its_colours_to_1e_9(golden: Any) -> None:
    nights = table_rows(golden, "SELECT * FROM nightly_colours WHERE object_id = 10 ORDER BY night_mjd")
    assert [row["night_mjd"] for row in nights] == [NIGHT, NIGHT + 30]
    assert round(nights[0]["u_mag"], 6) == 15.092654
    assert round(nights[0]["u_var"], 10) == 3.93256e-5
    assert [round(row["ug_mag"], 6) for row in nights] == [1.792654, 1.900000]
    assert [round(row["uv_mag"], 6) for row in nights] == [0.187665, 0.250000]
    [colours] = table_rows(golden, "SELECT * FROM colours WHERE object_id = 10")
    assert colours["ug_mag"] == pytest.approx(1.823710565, abs=1e-9)
    assert colours["ug_err"] == pytest.approx(0.010332295, abs=1e-9)
    assert colours["uv_mag"] == pytest.approx(0.197251030, abs=1e-9)
    assert colours["uv_err"] == pytest.approx(0.008084528, abs=1e-9)
    assert (colours["n_nights_ug"], colours["n_nights_uv"]) == (2, 2)


def test_worked_example_gives_its_rapid_sigma_and_all_three_pairs(golden: Any) -> None:
    rapid = {row["object_id"]: row for row in table_rows(golden, "SELECT * FROM rapid_variability")}
    best = rapid[10]
    assert best["rapid_u_sigma"] == pytest.approx(9.145661413, abs=1e-9)
    assert best["delta_u_mag"] == pytest.approx(0.06, abs=1e-9)
    assert (best["e_mag_i"], best["e_mag_j"]) == pytest.approx((0.0040, 0.0052), abs=1e-12)
    assert (best["image_id_i"], best["image_id_j"]) == (SEQUENCE + 4, SEQUENCE + 8)
    assert (best["sequence_id"], best["n_u"], best["n_sequences"]) == (SEQUENCE, 3, 1)
    pairs = {40: 7.713733, 50: 3.247421, 60: 9.145661}
    assert {star: round(rapid[star]["rapid_u_sigma"], 6) for star in pairs} == pairs
    assert set(rapid) == {10, 40, 50, 60}


def test_bands_of_two_nights_make_colours_only_where_a_night_has_both(golden: Any) -> None:
    colours = {row["object_id"]: row for row in table_rows(golden, "SELECT * FROM colours")}
    assert colours[20]["ug_mag"] == pytest.approx(2.0, abs=1e-9)
    assert colours[20]["uv_mag"] == pytest.approx(0.3, abs=1e-9)
    assert (colours[20]["n_nights_ug"], colours[20]["n_nights_uv"]) == (1, 1)
    assert (colours[30]["ug_mag"], colours[30]["ug_err"], colours[30]["uv_mag"], colours[30]["uv_err"]) == (None,) * 4
    assert (colours[30]["n_nights_ug"], colours[30]["n_nights_uv"]) == (0, 0)
    assert {row["object_id"] for row in table_rows(golden, "FROM sample")} == {10, 20, 30}
    assert {row["object_id"] for row in table_rows(golden, "FROM int_density__points")} == {10, 20}
    assert {row["object_id"] for row in table_rows(golden, "FROM density_score")} == {10, 20}
    [last] = table_rows(golden, "FROM cut_flow ORDER BY step DESC LIMIT 1")
    assert (last["n_in"], last["n_pass"], last["n_fail"], last["n_null"], last["known_pass"]) == (
        3,
        2,
        1,
        0,
        1,
    )


class NewStar(NamedTuple):
    """A published star: mag, pc; J and Ks as the catalogue prints them; `mean_u` the catalogue's mean u."""

    object_id: int
    source_id: int
    j_m: str
    k_m: str
    ebmv: float
    mean_u: float
    r_est: float
    abs_j: float
    jk0: float


PUBLISHED = [
    NewStar(116530425, 6015507731384081664, "8.404", "7.120", 0.1412, 14.0291, 4350.0, -4.788, 1.2257),
    NewStar(139325510, 4036657139505389056, "9.244", "7.995", 0.3917, 15.2168, 8019.4, -5.277, 1.0872),
    NewStar(146210248, 6043925532812301184, "9.588", "8.255", 0.3975, 15.9332, 3885.2, -3.359, 1.1688),
    NewStar(147403802, 6032371624106460544, "9.791", "8.505", 0.4444, 15.0975, 8820.6, -4.936, 1.1025),
    NewStar(203972182, 6725393223319286016, "9.494", "8.050", 0.1486, 14.3268, 9294.7, -5.347, 1.3826),
    NewStar(204354029, 6722877025292292224, "7.795", "6.357", 0.0852, 15.6973, 9907.5, -7.185, 1.4028),
    NewStar(244552792, 4091702303736858240, "10.685", "9.647", 0.3961, 15.6834, 11199.0, -4.561, 0.8744),
    NewStar(258351133, 4082054707613486336, "8.347", "7.134", 0.1569, 14.3724, 7467.6, -6.019, 1.1482),
    NewStar(310883323, 6000088833160915840, "6.547", "5.219", 0.2507, 14.7884, 879.4, -3.174, 1.2245),
    NewStar(328041214, 5871262663548636288, "9.110", "7.676", 0.7951, 15.2730, 5460.2, -4.576, 1.1056),
    NewStar(367245020, 5917238398632196736, "9.180", "7.934", 0.1645, 17.0846, 5066.5, -4.344, 1.1781),
    NewStar(485038704, 6347427816233092224, "8.835", "7.695", 0.2330, 13.0156, 7066.6, -5.411, 1.0438),
    NewStar(188203409, 4123378576521938816, "8.921", "7.748", 0.4251, 15.3740, 4876.3, -4.519, 0.9974),
    NewStar(209418421, 6729888473503087616, "7.574", "6.357", 0.1127, 14.1174, 1936.4, -3.861, 1.1705),
    NewStar(238889424, 4077376285676058496, "5.938", "4.396", 0.5035, 15.6311, 3238.8, -6.614, 1.3341),
    NewStar(243161560, 4075332117418593536, "9.224", "7.994", 0.1830, 15.4976, 5822.0, -4.601, 1.1544),
    NewStar(261318067, 4088284368706750592, "8.190", "6.811", 0.1937, 17.3189, 8710.2, -6.510, 1.2990),
    NewStar(287706848, 4206122019168592896, "8.292", "6.900", 0.6037, 16.8614, 3838.7, -4.629, 1.1427),
    NewStar(318348044, 5888247884803931136, "6.720", "5.183", 0.7242, 15.3561, 7434.0, -7.636, 1.2379),
    NewStar(334957070, 6062032741323638016, "6.453", "4.920", 0.6916, 15.8267, 584.8, -2.382, 1.2474),
    NewStar(408599880, 5774523953984244480, "9.581", "8.553", 0.2086, 15.5895, 9134.6, -5.222, 0.9418),
    NewStar(401946723, 5796098502439425152, "6.670", "5.417", 0.1049, 12.6429, 1928.8, -4.756, 1.2097),
]  # fmt: skip

# object_id: rapid sigma, change in u (mag), error of the one and of the other exposure (mag)
VARIABLE = {
    139325510: (4.910430, 0.027695, 0.0034, 0.0045),
    146210248: (23.098930, 0.112807, 0.0033, 0.0036),
    147403802: (2.501658, 0.011675, 0.0033, 0.0033),
    258351133: (10.931537, 0.076778, 0.0033, 0.0062),
    310883323: (34.141870, 0.254992, 0.0033, 0.0067),
    367245020: (22.867208, 0.267116, 0.0062, 0.0099),
    243161560: (10.654046, 0.077665, 0.0033, 0.0065),
    261318067: (20.001514, 0.123184, 0.0033, 0.0052),
    287706848: (21.707987, 0.112568, 0.0033, 0.0040),
    408599880: (28.498975, 0.133002, 0.0033, 0.0033),
}  # fmt: skip


def published_sky(u_mag: dict[int, float]) -> dict[str, list[Row]]:
    """The 22 catalogue rows; those with a sigma get a sequence in which u changes so from first to second u."""
    images = exposures(SEQUENCE, COLOUR_SEQUENCE, NIGHT + 0.54)
    u = [image for image in images if image["filter"] == "u"]
    parts: list[dict[str, list[Row]]] = [{"dr2.images": list(images)}]
    for star in PUBLISHED:
        rows = red_giant(
            star.object_id, j_m=Decimal(star.j_m), k_m=Decimal(star.k_m), ebmv_sfd=star.ebmv, r_est=star.r_est,
            gaia_dr2_id1=star.source_id,
        )  # fmt: skip
        for table in ("ext.gaia_dr2", "gaiadr2_complements.geometric_distance"):
            rows[table] = [{**rows[table][0], "source_id": star.source_id}]
        parts.append(rows)
    for object_id, (_, delta, e_i, e_j) in VARIABLE.items():
        faint = u_mag[object_id]
        changes = [
            detection(object_id, u[0], faint, e_i),
            detection(object_id, u[1], faint - delta, e_j),
            detection(object_id, u[2], faint - delta / 2, 0.0100),
        ]
        parts.append({"dr2.photometry": list(changes)})
    return together(*parts)


def test_absolute_magnitudes_and_colours_of_22_stars_are_the_published_ones(make_archive: MakeArchive) -> None:
    settings = make_archive(published_sky(dict.fromkeys(VARIABLE, 15.0)))
    found = {row["object_id"]: row for row in table_rows(settings, "FROM sample")}
    assert set(found) == {star.object_id for star in PUBLISHED}, "each of the 22 passes every cut"
    for star in PUBLISHED:
        row = found[star.object_id]
        assert row["source_id"] == star.source_id
        assert row["abs_j_mag"] == pytest.approx(star.abs_j, abs=5.0001e-4)
        assert row["jk0_mag"] == pytest.approx(star.jk0, abs=5.0001e-5)
        assert row["abs_j_mag"] == pytest.approx(float(star.j_m) - 5 * math.log10(star.r_est / 10), abs=1e-9)
        assert row["jk0_mag"] == pytest.approx(
            float(Decimal(star.j_m) - Decimal(star.k_m)) - 0.413 * star.ebmv, abs=1e-9
        )


def test_rapid_sigma_of_ten_stars_is_the_published_one_to_1e_6(make_archive: MakeArchive) -> None:
    """Brighter than 16 mag a 32-bit float holds all six decimals, so the published digits come back."""
    settings = make_archive(published_sky(dict.fromkeys(VARIABLE, 15.75)))
    found = {row["object_id"]: row for row in table_rows(settings, "FROM rapid_variability")}
    assert set(found) == set(VARIABLE)
    for star, (sigma, delta, e_i, e_j) in VARIABLE.items():
        assert found[star]["rapid_u_sigma"] == pytest.approx(sigma, abs=1e-6)
        assert found[star]["delta_u_mag"] == pytest.approx(delta, abs=1e-9)
        assert (found[star]["e_mag_i"], found[star]["e_mag_j"]) == pytest.approx((e_i, e_j), abs=1e-12)


def test_rapid_sigma_at_the_stars_own_u_is_published_within_float_steps(make_archive: MakeArchive) -> None:
    """Fainter than 16 mag a 32-bit float steps by 1.9e-6 mag: each of the two may be off by half a step."""
    mean_u = {star.object_id: star.mean_u for star in PUBLISHED}
    settings = make_archive(published_sky(mean_u))
    for row in table_rows(settings, "FROM rapid_variability"):
        sigma, _, e_i, e_j = VARIABLE[row["object_id"]]
        step = 2.0**-19 + 1e-6 if mean_u[row["object_id"]] > 16 else 0.0
        assert row["rapid_u_sigma"] == pytest.approx(sigma, abs=1e-6 + step / (e_i**2 + e_j**2) ** 0.5)


# object_id: u - g and u - v (mag), ln density
COLOURS = {
    116530425: (0.725553, -0.201538, -7.969129),
    139325510: (1.814286, -0.380713, -5.033475),
    146210248: (0.885054, -0.010508, -7.655068),
    147403802: (0.976422, -0.084982, -7.480586),
    203972182: (-0.122917, -0.347714, -10.012412),
    204354029: (1.032351, 0.14833, -7.347421),
    244552792: (1.083188, -0.059119, -7.105421),
    258351133: (1.335816, -0.21314, -6.265107),
    310883323: (1.537015, 0.024404, -5.339875),
    328041214: (0.741035, -0.204874, -7.962234),
    367245020: (2.506078, 0.193187, -2.132097),
    485038704: (1.187083, -0.740221, -8.029283),
    188203409: (1.375877, 0.188092, -5.804977),
    209418421: (1.065561, -0.096952, -7.18537),
    238889424: (1.463664, -0.172511, -5.710734),
    243161560: (2.312086, 0.63806, -3.982663),
    261318067: (1.955853, 0.551006, -3.798971),
    287706848: (1.670143, -0.030191, -4.868501),
    318348044: (1.821705, -0.172172, -4.496735),
    334957070: (1.156877, -0.171175, -6.937794),
    408599880: (2.826194, 0.156528, -1.285696),
    401946723: (1.034758, 0.121461, -7.305734),
}


def test_the_default_regions_select_all_22_stars_from_their_published_values(make_archive: MakeArchive) -> None:
    """18 by their colours, some of these by their variability too; the other four by their variability alone."""
    settings = make_archive(published_sky(dict.fromkeys(VARIABLE, 15.75)))
    with open_warehouse(settings) as house:
        apply_built(house)
        house.run(
            "CREATE TEMP TABLE colours AS SELECT *, 0.01 AS ug_err, 0.01 AS uv_err, 2 AS n_nights_ug, 2 AS n_nights_uv FROM (VALUES "
            + ", ".join(f"({star}, {ug}e0, {uv}e0)" for star, (ug, uv, _) in COLOURS.items())
            + ") AS t(object_id, ug_mag, uv_mag)"
        )
        house.run(
            "CREATE TEMP TABLE density_score AS FROM (VALUES "
            + ", ".join(f"({star}, {score}e0)" for star, (_, _, score) in COLOURS.items())
            + ") AS t(object_id, ln_density)"
        )
        found = dict(house.rows(f"SELECT object_id, criteria FROM ({sql_of(DR2, 'candidates')})"))
    assert set(found) == set(COLOURS)
    by_colour = {star for star, (_, _, score) in COLOURS.items() if score <= -4.496}
    by_variability = {star for star, (sigma, *_) in VARIABLE.items() if sigma >= 10.65}
    assert len(by_colour) == 18
    assert {star for star, why in found.items() if "colour" in why} == by_colour
    assert {star for star, why in found.items() if "variability" in why} == by_variability
    assert len(by_variability - by_colour) == 4
