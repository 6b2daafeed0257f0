"""The contracts in sql/contract say what the archives send, in words that other software understands."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import astropy.units as u
import duckdb
import pytest
import yaml
from astropy.io.votable.ucd import parse_ucd
from hypothesis import example, given
from hypothesis import strategies as st

from skysy.columns import Column, from_comment, to_comment
from skysy.contract import TableContract, _contract, load_contract, releases
from skysy.errors import ContractError, NotFound

RELEASES = ("sdss_s82", "skymapper_dr2", "skymapper_dr4")
TABLES = [(release, table) for release in RELEASES for table in load_contract(release).tables]
EACH_TABLE = pytest.mark.parametrize(
    ("release", "table"), TABLES, ids=[f"{release}-{table.name}" for release, table in TABLES]
)

MASTER_REQUIRED = """
    object_id raj2000 dej2000 class_star flags_psf nch_max u_ngood v_ngood g_ngood prox ebmv_sfd
    twomass_key twomass_dist allwise_cntr allwise_dist gaia_dr2_id1 gaia_dr2_dist1
"""
REQUIRED = {
    "dr2.master": MASTER_REQUIRED,
    "dr4.master": """
        object_id raj2000 dej2000 class_star flags_psf u_ngood v_ngood g_ngood self_dist1 ebmv_sfd
        twomass_key twomass_dist allwise_cntr allwise_dist gaia_dr3_id1 gaia_dr3_dist1
    """,
    "dr4.photometry": "image_id ccd object_id filter mag_psf e_mag_psf flags nimaflags use_in_clipped",
    "dr4.images": "image_id night_mjd date field_id exp_time filter image_type",
    "ext.gaia_dr3": "source_id",
    "gedr3dist.main": "source_id r_med_geo",
    "dr2.photometry": "image_id ccd object_id filter mag_psf e_mag_psf flags nimaflags used_in_clip",
    "dr2.images": "image_id night_mjd date field_id exp_time filter image_type",
    "ext.twomass_psc": "pts_key j_m h_m k_m ph_qual cc_flg gal_contam ext_key",
    "ext.allwise": "cntr",
    "ext.gaia_dr2": "source_id",
    "gaiadr2_complements.geometric_distance": "source_id r_est result_flag",
    "known.objects": "object_id name",
    "simbad.matches": "object_id main_id",
    "mast.observation": "object_id obsid",
    "mast.product": "asked_obsid dataURI",
    "followup.observations": "object_id observed_on",
    "tess.light_curve": "object_id sector",
    "s82.lightcurves": "object_id time mag magerr band",
    "s82.periods": "object_id period",
}
BIGINTS = """
    dr2.master.object_id dr2.master.twomass_key dr2.master.allwise_cntr dr2.master.gaia_dr2_id1
    dr2.photometry.object_id dr2.photometry.image_id dr2.images.image_id ext.twomass_psc.pts_key
    ext.allwise.cntr ext.gaia_dr2.source_id gaiadr2_complements.geometric_distance.source_id
    dr4.master.object_id dr4.master.twomass_key dr4.master.allwise_cntr dr4.master.gaia_dr3_id1
    dr4.photometry.object_id dr4.photometry.image_id dr4.images.image_id ext.gaia_dr3.source_id gedr3dist.main.source_id
    known.objects.object_id followup.observations.object_id tess.light_curve.object_id s82.lightcurves.object_id s82.periods.object_id
"""
KEYS = {
    "dr2.master": ("object_id",),
    "dr2.photometry": ("image_id", "ccd", "object_id"),
    "dr4.master": ("object_id",),
    "dr4.photometry": ("image_id", "ccd", "object_id"),
    "dr4.images": ("image_id",),
    "ext.gaia_dr3": ("source_id",),
    "gedr3dist.main": ("source_id",),
    "dr2.images": ("image_id",),
    "ext.twomass_psc": ("pts_key",),
    "ext.allwise": ("cntr",),
    "ext.gaia_dr2": ("source_id",),
    "gaiadr2_complements.geometric_distance": ("source_id",),
    "known.objects": ("object_id",),
    "simbad.matches": ("object_id",),
    "mast.observation": ("object_id", "obsid"),
    "mast.product": ("asked_obsid", "dataURI"),
    "followup.observations": ("object_id", "observed_on", "instrument"),
    "tess.light_curve": ("object_id", "sector", "time_btjd"),
    "s82.lightcurves": (),
    "s82.periods": ("object_id",),
}


def master_order() -> list[str]:
    """The 100 columns of dr2.master in the survey's order: two blocks repeat for each filter."""
    names = ["object_id", "raj2000", "dej2000", "e_raj2000", "e_dej2000", "smss_j", "mean_epoch", "rms_epoch"]
    names += ["glon", "glat", "flags", "nimaflags", "ngood", "ngood_min", "nch_max", "density"]
    names += [f"{band}_{what}" for band in "uvgriz" for what in ("flags", "nimaflags", "ngood", "nch", "nclip")]
    names += ["class_star", "flags_psf", "radius_petro"]
    for band in "uvgriz":
        names += [f"{band}_psf", f"e_{band}_psf", f"{band}_rchi2var", f"{band}_petro", f"e_{band}_petro"]
    names += ["ebmv_sfd", "prox", "prox_id"]
    for key in (
        "dr1_id",
        "twomass_key",
        "allwise_cntr",
        "ucac4_mpos",
        "refcat2_id",
        "ps1_dr1_id",
        "galex_guv_id",
    ):
        names += [key, f"{key.rsplit('_', 1)[0]}_dist"]
    return [*names, "gaia_dr2_id1", "gaia_dr2_dist1", "gaia_dr2_id2", "gaia_dr2_dist2"]


def dr4_order() -> list[str]:
    """The 121 columns of dr4.master in the order of LSDB's copy."""
    names = ["object_id", "raj2000", "dej2000", "e_raj2000", "e_dej2000", "smss_j", "mean_epoch", "rms_epoch"]
    names += ["glon", "glat", "flags", "nimaflags", "ngood"]
    names += [f"{band}_{what}" for band in "uvgriz" for what in ("flags", "nimaflags", "ngood", "nclip")]
    names += ["class_star", "chi2_psf", "flags_psf", "radius_petro", "mean_fwhm"]
    for band in "uvgriz":
        names += [f"{error}{band}_{what}" for what in ("psf", "petro", "apc05") for error in ("", "e_")] + [
            f"{band}_mmvar"
        ]
    names += [f"self_{what}{place}" for place in "123" for what in ("id", "dist")] + ["cnt_self_15"]
    names += ["ebmv_sfd", "ebmv_gnilc", "ebmv_g_err"]
    names += [f"gaia_dr3_{what}{place}" for place in "12" for what in ("id", "dist")] + ["cnt_gaia_dr3_15"]
    names += ["twomass_key", "twomass_dist", "allwise_cntr", "allwise_dist"]
    others = ("catwise", "refcat2", "ps1_dr1", "galex_guv", "vhs_dr6", "ls_dr9", "des_dr2", "nsc_dr2", "splus_dr3")
    return names + [f"{survey}_{what}" for survey in others for what in ("id", "dist")]


def of(release: str, table: str, spelling: str) -> str | None:
    """The name of the column that a spelling means."""
    column = load_contract(release).table(table).column(spelling)
    return column.name if column else None


def faults(table: TableContract, fault: Callable[[Column], Any]) -> dict[str, Any]:
    """What is wrong, by the name of the column."""
    return {column.name: found for column in table.columns if (found := fault(column))}


def small() -> dict[str, Any]:
    """A faultless contract of two columns, to be spoilt."""
    return {
        "release": "tiny",
        "title": "A tiny survey",
        "tables": {
            "t.stars": {
                "description": "Stars of the tiny survey",
                "grain": "one row per star",
                "key": ["star_id"],
                "columns": {
                    "star_id": {"type": "BIGINT", "required": True, "description": "Number of the star"},
                    "decl": {"type": "DOUBLE", "accept": ["dec"], "description": "Declination, ICRS"},
                },
            }
        },
    }


def test_every_release_has_a_contract_that_loads() -> None:
    assert set(RELEASES) <= set(releases())
    for release in releases():
        contract = load_contract(release)
        assert contract.release == release
        assert contract.title
        assert contract.cite
        assert contract.tables


def test_the_tables_are_those_of_the_archives() -> None:
    assert [table.name for _, table in TABLES if table.schema == "s82"] == ["s82.lightcurves", "s82.periods"]
    assert {table.name for _, table in TABLES} == set(KEYS)


def test_master_has_its_100_columns_in_the_order_of_the_survey() -> None:
    expected = master_order()
    assert len(expected) == 100
    assert [column.name for column in load_contract("skymapper_dr2").table("dr2.master").columns] == expected


def test_master_of_dr4_has_its_121_columns_in_the_order_of_the_public_copy() -> None:
    expected = dr4_order()
    assert len(expected) == 121
    assert [column.name for column in load_contract("skymapper_dr4").table("dr4.master").columns] == expected


def test_tables_that_two_releases_share_have_the_same_columns() -> None:
    """A warehouse may hold both."""
    of_table: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    for _, table in TABLES:
        of_table.setdefault(table.name, set()).add(tuple((column.name, column.type) for column in table.columns))
    assert len(of_table) < len(TABLES)
    assert {name for name, found in of_table.items() if len(found) > 1} == set()


def test_twomass_has_its_60_columns_in_the_order_of_irsa() -> None:
    names = [column.name for column in load_contract("skymapper_dr2").table("ext.twomass_psc").columns]
    assert len(names) == 60
    assert names[:7] == ["ra", "decl", "err_maj", "err_min", "err_ang", "designation", "j_m"]
    assert names[-4:] == ["ext_key", "scan_key", "coadd_key", "coadd"]


@EACH_TABLE
def test_a_table_says_what_a_row_is_what_identifies_it_and_where_its_columns_are_from(
    release: str, table: TableContract
) -> None:
    assert table.description
    assert table.grain.startswith("one row per ")
    assert len(table.source) > 40
    assert table.key == KEYS[table.name]


@EACH_TABLE
def test_only_what_the_pipeline_needs_is_required(release: str, table: TableContract) -> None:
    assert {column.name for column in table.columns if column.required} == set(REQUIRED[table.name].split())


@pytest.mark.parametrize("release", RELEASES)
def test_no_name_is_written_twice_in_the_file(release: str) -> None:
    """YAML keeps the last of two equal keys and says nothing."""

    def check(node: yaml.Node, where: str) -> None:
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value]
            assert len(names) == len(set(names)), where
            for key, value in node.value:
                check(value, f"{where}.{key.value}")

    text = files("skysy.sql").joinpath("contract", f"{release}.yaml").read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    check(root, release)


@EACH_TABLE
def test_duckdb_makes_the_table_and_gives_its_comments_back(release: str, table: TableContract) -> None:
    with duckdb.connect() as db:
        columns = ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        db.execute(f"CREATE TABLE t ({columns})")
        for column in table.columns:
            db.execute(f"""COMMENT ON COLUMN t."{column.name}" IS '{column.comment.replace("'", "''")}'""")
        rows = db.execute(
            "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = 't' ORDER BY column_index"
        ).fetchall()
    kinds = {"REAL": "FLOAT"}
    assert [(name, kind) for name, kind, _ in rows] == [(c.name, kinds.get(c.type, c.type)) for c in table.columns]
    assert [from_comment(comment) for *_, comment in rows] == [(c.description, c.unit, c.ucd) for c in table.columns]


@EACH_TABLE
def test_every_unit_is_a_vounit(release: str, table: TableContract) -> None:
    def fault(column: Column) -> str:
        try:
            u.Unit(column.unit or "", format="vounit", parse_strict="raise")
        except ValueError as error:
            return str(error)
        return ""

    assert faults(table, fault) == {}


@EACH_TABLE
def test_every_column_has_a_ucd_of_the_controlled_vocabulary(release: str, table: TableContract) -> None:
    def fault(column: Column) -> str:
        try:
            parse_ucd(column.ucd or "", check_controlled_vocabulary=True)
        except ValueError as error:
            return str(error)
        return ""

    assert faults(table, fault) == {}


@EACH_TABLE
def test_every_description_is_a_phrase_without_brackets(release: str, table: TableContract) -> None:
    def fault(column: Column) -> bool:
        return len(column.description) < 10 or bool(set(column.description) & set("[]{}"))

    assert faults(table, fault) == {}


@EACH_TABLE
def test_every_magnitude_and_its_error_are_in_mag(release: str, table: TableContract) -> None:
    def fault(column: Column) -> bool:
        is_magnitude = (column.ucd or "").startswith(
            ("phot.mag", "phot.color", "stat.error;phot.mag", "stat.error;phot.color")
        )
        return is_magnitude != (column.unit == "mag")

    assert faults(table, fault) == {}


def test_colours_are_cut_on_decimals_and_keys_are_joined_on_64_bits() -> None:
    types = {f"{table.name}.{column.name}": column.type for _, table in TABLES for column in table.columns}
    assert {types[f"ext.twomass_psc.{band}_m"] for band in "jhk"} == {"DECIMAL(6,3)"}
    assert {types[f"ext.allwise.w{band}mpro"] for band in "1234"} == {"DECIMAL(5,3)"}
    assert {types[f"ext.allwise.w{band}sigmpro"] for band in "1234"} == {"DECIMAL(4,3)"}
    assert {name: types[name] for name in BIGINTS.split()} == dict.fromkeys(BIGINTS.split(), "BIGINT")


@pytest.mark.parametrize(
    ("release", "table", "spelling", "name"),
    [
        ("skymapper_dr2", "dr2.photometry", "use_in_clipped", "used_in_clip"),
        ("skymapper_dr2", "dr2.photometry", "used_in_clip", "used_in_clip"),
        ("skymapper_dr2", "dr2.photometry", "dec_img", "decl_img"),
        ("skymapper_dr4", "dr4.photometry", "use_in_clipped", "use_in_clipped"),
        ("skymapper_dr4", "dr4.photometry", "used_in_clip", "use_in_clipped"),
        ("skymapper_dr4", "dr4.master", "prox", None),
        ("skymapper_dr4", "dr4.master", "nch_max", None),
        ("skymapper_dr4", "gedr3dist.main", "rgeo", "r_med_geo"),
        ("skymapper_dr4", "gedr3dist.main", "B_rgeo", None),
        ("skymapper_dr2", "dr2.master", "ebmvsfd", "ebmv_sfd"),
        ("skymapper_dr2", "dr2.master", " RAJ2000 ", "raj2000"),
        ("skymapper_dr2", "dr2.images", "dec", "decl"),
        ("skymapper_dr2", "ext.twomass_psc", "DEC", "decl"),
        ("skymapper_dr2", "ext.allwise", "dec", "dec"),
        ("skymapper_dr2", "gaiadr2_complements.geometric_distance", "Source", "source_id"),
        ("skymapper_dr2", "gaiadr2_complements.geometric_distance", "rest", "r_est"),
        ("skymapper_dr2", "gaiadr2_complements.geometric_distance", "ResFlag", "result_flag"),
        ("skymapper_dr2", "gaiadr2_complements.geometric_distance", "B_rest", None),
        ("skymapper_dr2", "dr2.master", "nonesuch", None),
        ("sdss_s82", "s82.periods", "Num", "object_id"),
        ("sdss_s82", "s82.periods", "Type", "type"),
        ("sdss_s82", "s82.periods", "Per", "period"),
    ],
)
def test_the_archives_spellings_mean_our_columns(release: str, table: str, spelling: str, name: str | None) -> None:
    assert of(release, table, spelling) == name
    assert of(release, table, spelling.upper()) == name


def test_stripe_82_files_are_known_by_their_published_names() -> None:
    contract = load_contract("sdss_s82")
    assert contract.table("s82.lightcurves").stems == ("s82.lightcurves", "lightcurves")
    assert contract.table("s82.periods").stems == ("s82.periods", "periods")


WORDS = st.text(st.characters(exclude_characters="[]{}", codec="utf-8"))
LABEL = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="[]{}"), min_size=1)


@given(WORDS, LABEL, LABEL)
@example("two\nlines", "mag", "phot.mag;em.opt")
def test_a_comment_gives_its_description_unit_and_ucd_back(description: str, unit: str | None, ucd: str | None) -> None:
    comment = to_comment(description, unit, ucd)
    assert comment == comment.strip()
    assert from_comment(comment) == (description.strip(), unit, ucd)


@given(st.none() | st.text())
@example("a magnitude []")
@example("a magnitude [mag] {}")
def test_any_comment_can_be_read(comment: str | None) -> None:
    description, unit, ucd = from_comment(comment)
    assert description == description.strip()
    assert unit != ""
    assert ucd != ""


def test_a_small_contract_is_read_and_its_defaults_are_plain() -> None:
    contract = _contract("tiny", small(), "abc")
    table = contract.table("t.stars")
    assert (table.schema, table.table, table.files, table.source) == ("t", "stars", (), "")
    assert table.columns[1] == Column("decl", "DOUBLE", None, None, "Declination, ICRS", False, ("dec",))


@pytest.mark.parametrize(
    ("where", "change", "place", "word"),
    [
        ((), {"colums": {}}, "tiny.yaml, t.stars", "colums"),
        (("columns", "decl"), {"units": "deg"}, "tiny.yaml, t.stars.decl", "units"),
        (("columns", "decl"), {"description": ""}, "tiny.yaml, t.stars.decl", "description"),
        (("columns", "decl"), {"description": None}, "tiny.yaml, t.stars.decl", "description"),
        (("columns", "decl"), {"accept": ["star_id"]}, "tiny.yaml, t.stars", "star_id"),
        (("columns", "decl"), {"accept": ["DECL"]}, "tiny.yaml, t.stars", "decl"),
        (("columns", "decl"), {"accept": ["dec", "Dec"]}, "tiny.yaml, t.stars", "dec"),
        ((), {"key": ["star"]}, "tiny.yaml, t.stars", "star"),
    ],
    ids=[
        "unknown table key",
        "unknown column key",
        "empty description",
        "null description",
        "spelling of another column",
        "spelling of its own name",
        "spelling twice",
        "key that is no column",
    ],
)
def test_a_faulty_contract_is_refused_and_the_place_is_named(
    where: tuple[str, ...], change: dict[str, Any], place: str, word: str
) -> None:
    spec = small()
    spot = spec["tables"]["t.stars"]
    for step in where:
        spot = spot[step]
    spot.update(change)
    with pytest.raises(ContractError) as caught:
        _contract("tiny", spec, "abc")
    assert place in caught.value.message
    assert word in caught.value.message


def test_a_missing_description_is_refused_and_the_place_is_named() -> None:
    spec = small()
    del spec["tables"]["t.stars"]["columns"]["decl"]["description"]
    with pytest.raises(ContractError, match=r"tiny\.yaml, t\.stars\.decl: description is missing"):
        _contract("tiny", spec, "abc")


def test_a_contract_that_names_another_release_is_refused() -> None:
    with pytest.raises(ContractError, match=r"large\.yaml says release: 'tiny'"):
        _contract("large", small(), "abc")


def test_an_unknown_release_is_not_found_and_the_nearest_or_all_known_ones_are_named() -> None:
    with pytest.raises(NotFound) as caught:
        load_contract("skymaper_dr2")
    assert "skymaper_dr2" in caught.value.message
    assert caught.value.remedy == "Did you mean skymapper_dr2?"
    with pytest.raises(NotFound) as caught:
        load_contract("gaia")
    for release in RELEASES:
        assert release in caught.value.remedy


def test_an_unknown_table_is_not_found_and_the_known_ones_are_named() -> None:
    with pytest.raises(NotFound) as caught:
        load_contract("sdss_s82").table("dr2.master")
    assert "dr2.master" in caught.value.message
    assert "s82.lightcurves, s82.periods" in caught.value.remedy
