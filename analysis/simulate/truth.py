"""What is true of the simulated sky: which cuts each object fails, and what it really is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from skysy.analysis.simulate.catalogue import Rows
from skysy.analysis.simulate.faults import BadRow
from skysy.analysis.simulate.plan import CUTS, KINDS
from skysy.analysis.simulate.shape import choose
from skysy.analysis.simulate.sky import Stars

from skysy.columns import Column

Bools = npt.NDArray[np.bool_]

OBJECT_COLUMNS = (
    Column("object_id", "BIGINT", None, "meta.id;meta.main", "survey object"),
    Column("kind", "VARCHAR", None, "src.class", "population that the object was drawn from"),
    Column("feature", "VARCHAR", None, "meta.code", "the one property by which it tests a cut; plain is none"),
    Column("expected_in_sample", "BOOLEAN", None, "meta.code", "whether it passes every cut of the selection"),
    Column("fails", "VARCHAR", None, "meta.code", "the cuts that it fails, joined by ;"),
    Column(
        "flicker_amplitude_mag",
        "DOUBLE",
        "mag",
        "src.var.amplitude",
        "rms of the flickering in u; NULL for none",
    ),
    Column("pulsation_amplitude_mag", "DOUBLE", "mag", "src.var.amplitude", "half amplitude in u; NULL for none"),
    Column("period_d", "DOUBLE", "d", "time.period", "period of the pulsation; NULL for none"),
    Column("is_known_symbiotic", "BOOLEAN", None, "meta.code", "whether known.objects lists it"),
    Column("ug_mag", "DOUBLE", "mag", "phot.color;em.opt.U;em.opt.B", "true mean u - g"),
    Column("uv_mag", "DOUBLE", "mag", "phot.color;em.opt.U", "true mean u - v"),
)
BAD_ROW_COLUMNS = (
    Column("kind", "VARCHAR", None, "meta.code", "what was planted"),
    Column("table_name", "VARCHAR", None, "meta.table", "where"),
    Column("object_id", "BIGINT", None, "meta.id", "object it belongs to; NULL for none"),
    Column("image_id", "BIGINT", None, "meta.id;obs", "image it belongs to; NULL for none"),
    Column("count", "BIGINT", None, "meta.number", "rows"),
    Column("taken_by", "VARCHAR", None, "meta.code", "what must take it: stage.rule, cut:name, or none"),
)
SEQUENCE_COLUMNS = (
    Column("kind", "VARCHAR", None, "meta.code", "plain, or what is odd about it"),
    Column("field_id", "INTEGER", None, "meta.id;obs.field", "survey field"),
    Column("night_mjd", "INTEGER", "d", "time.epoch;obs", "the night's number"),
    Column("first_image_id", "BIGINT", None, "meta.id;obs", "first exposure"),
    Column("filters", "VARCHAR", None, "instr.filter", "filters in order of time"),
    Column("u_image_ids", "VARCHAR", None, "meta.id;obs", "u exposures, joined by ;"),
)


def failed_cuts(master: Rows, twomass: Rows, gaia: Rows, allwise: Rows, distance: Rows) -> dict[str, Bools]:
    """For each cut the objects that do not pass it; a missing value does not pass.

    Decided on whole numbers of the last digit wherever decimals are cut. The rules are those of the talk
    (Lucy 2021): its ADQL, then distance and luminosity.
    """
    m, t = master.columns, twomass.columns
    jk = t["j_m"] - t["k_m"]  # thousandths of a magnitude
    known = ~np.ma.getmaskarray(distance.columns["r_est"]) & distance.present
    abs_j_mag = t["j_m"] / 1000 - 5 * np.log10(np.ma.filled(distance.columns["r_est"], 1.0) / 10)
    ebmv = np.round(m["ebmv_sfd"] * 1e4).astype(np.int64)

    def seen(rows: Rows, passes: Any) -> Bools:
        return rows.present & np.ma.filled(passes, False)

    grade, confusion = (np.array(t[name].to_pylist()) for name in ("ph_qual", "cc_flg"))
    ext_key = np.ma.filled(t["ext_key"], 0)
    passes = {
        "twomass_match": seen(twomass, m["twomass_dist"] < 2),
        "gaia_match": seen(gaia, m["gaia_dr2_dist1"] < 2),
        "allwise_match": seen(allwise, m["allwise_dist"] < 3),
        "isolated": m["prox"] > 6,
        "ph_qual_aaa": seen(twomass, grade == "AAA"),
        "gal_contam_none": seen(twomass, t["gal_contam"] == 0),
        "not_extended": seen(twomass, ext_key == 0),
        "cc_flg_clean": seen(twomass, confusion == "000"),
        "class_star": m["class_star"] > 0.9,
        "flags_psf_clean": m["flags_psf"] == 0,
        "u_observed": m["u_ngood"] > 0,
        "v_observed": m["v_ngood"] > 0,
        "g_observed": m["g_ngood"] > 0,
        "single_child": m["nch_max"] == 1,
        "red_jk": seen(twomass, jk > 850),
        "bright_j": seen(twomass, t["j_m"] < 14_000),
        "distance_converged": known & (distance.columns["result_flag"] != 0),
        "red_jk0": seen(twomass, jk * 10_000 - 413 * ebmv > 8_500_000),
        "luminous_mj": twomass.present & known & (abs_j_mag < 0),
    }
    return {cut: ~np.asarray(passes[cut], dtype=bool) for cut in CUTS}


def object_table(stars: Stars, fails: dict[str, Bools], feature_names: tuple[str, ...]) -> pa.Table:
    """One row per object, as OBJECT_COLUMNS."""
    pulsating = stars.pulsation_mag > 0
    u, v, g = stars.mags[:, 0], stars.mags[:, 1], stars.mags[:, 2]
    return pa.table(
        {
            "object_id": stars.object_id,
            "kind": choose(tuple(KINDS), stars.kind),
            "feature": choose(feature_names, stars.feature),
            "expected_in_sample": ~np.any(list(fails.values()), axis=0),
            "fails": _joined_names(fails),
            "flicker_amplitude_mag": pa.array(stars.flicker_mag, mask=np.isnan(stars.flicker_mag)),
            "pulsation_amplitude_mag": pa.array(stars.pulsation_mag, mask=~pulsating),
            "period_d": pa.array(stars.period_d, mask=~pulsating),
            "is_known_symbiotic": stars.is_known,
            "ug_mag": np.round(u - g, 4),
            "uv_mag": np.round(u - v, 4),
        }
    )


def _joined_names(fails: dict[str, Bools]) -> pa.Array:
    pattern = sum(failed.astype(np.int64) << bit for bit, failed in enumerate(fails.values()))
    patterns, codes = np.unique(pattern, return_inverse=True)
    names = tuple(fails)
    words = [";".join(name for bit, name in enumerate(names) if found >> bit & 1) for found in patterns]
    return choose(tuple(words), codes)


def bad_row_table(rows: list[BadRow]) -> pa.Table:
    """The planted rows, as BAD_ROW_COLUMNS."""
    kinds = {"object_id": pa.int64(), "image_id": pa.int64(), "count": pa.int64()}
    return pa.table(
        {
            column.name: pa.array([getattr(row, column.name) for row in rows], kinds.get(column.name, pa.string()))
            for column in BAD_ROW_COLUMNS
        }
    )
