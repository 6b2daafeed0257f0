"""A warehouse as a build leaves it, its published tables filled with plausible rows made here: no models are run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from skysy import ledger, store
from skysy.config import Settings

HOSTILE = "<script>alert('x')</script> & \"co\""
"""A name that must stand in a page as text, never as markup."""

CUTS = {
    "twomass_match": "a 2MASS source lies within the radius",
    "isolated": "no other survey source is near",
    "class_star": "it looks like a star",
    "red_jk0": "red after correction for reddening",
    "luminous_mj": "a giant, not a dwarf",
}
LIMITS = {
    "jk0_mag_min": ("0.85", "mag", "(J-Ks)0 must be redder"),
    "abs_j_mag_max": ("0.0", "mag", "M_J must be brighter"),
    "density_ln_max": ("-4.496", None, "ln density at or below this is an outlier"),
    "rapid_u_sigma_min": ("10.65", None, "rapid delta-u sigma at or above this is an outlier"),
    "kde_bandwidth_mag": ("0.1", "mag", "bandwidth of the density"),
    "ph_qual_allowed": ("'AAA'", None, "2MASS quality"),
}
SEQUENCE = "uvgruvizuv"
_COMMENTED = {"int_selection__cuts": CUTS}

Reals = NDArray[np.float64]


def make(directory: Path, n: int = 1500, n_candidates: int = 12, seed: int = 1) -> Settings:
    """Settings of a warehouse of n sample objects, of which n_candidates are candidates; none if both are 0."""
    settings = Settings(directory, "500MB", 1)
    with store.open_warehouse(settings, write=True, make=True) as house:
        for name, table in _tables(n, n_candidates, seed).items():
            house.con.register("_rows", pa.table(table))
            house.run(f'CREATE TABLE main."{name}" AS SELECT * FROM _rows')
            house.con.unregister("_rows")
            for column, sentence in _COMMENTED.get(name, {}).items():
                house.run(f'COMMENT ON COLUMN main."{name}"."{column}" IS \'{sentence}\'')
        _fill_ledger(house, n)
    return settings


def _tables(n: int, n_candidates: int, seed: int) -> dict[str, dict[str, Any]]:
    random = np.random.default_rng(seed)
    ids = np.arange(n, dtype=np.int64) + 116_530_425
    is_candidate = np.arange(n) < n_candidates
    ug = np.where(is_candidate, random.uniform(-0.1, 1.6, n), random.normal(2.9, 0.3, n))
    uv = np.where(is_candidate, random.uniform(-0.4, 0.2, n), random.normal(0.6, 0.15, n))
    u = random.uniform(12.5, 18.5, n)
    error = 0.0033 + 0.004 * 10 ** (0.4 * (u - 17))
    jk0, abs_j = 0.85 + random.exponential(0.15, n), -random.uniform(0.1, 7, n)
    sigma = np.abs(random.normal(0, 1.6, n)) + 0.3
    sigma[: n_candidates // 2] += 15
    has_sequence = is_candidate | (random.random(n) < 0.7)
    ra, dec = random.uniform(0, 360, n), -random.uniform(0, 88, n)
    ln_density = np.where(is_candidate, random.uniform(-10, -5, n), random.uniform(-4, 1, n))
    j = random.uniform(6, 13.5, n)
    sample = {
        "object_id": ids, "source_id": ids + 6_000_000_000_000_000_000, "raj2000": ra, "dej2000": dec, "j_m": j,
        "k_m": j - jk0, "jk0_mag": jk0, "abs_j_mag": abs_j, "r_est": np.full(n, 4000.0), "ebmv_sfd": np.full(n, 0.1),
    }  # fmt: skip
    dwarfs = random.normal(0.8, 0.08, n), random.normal(5, 0.7, n)
    images, measurements = _measure(random, ids, u, error, ug, uv, sigma, has_sequence)
    variability = {
        "object_id": ids[has_sequence], "rapid_u_sigma": sigma[has_sequence],
        "delta_u_mag": (sigma * error * math.sqrt(2))[has_sequence], "image_id_i": images["i"],
        "image_id_j": images["j"], "sequence_id": images["sequence"],
        "rapid_u_sigma_floored": (sigma * error / np.hypot(error, 0.01))[has_sequence],
        "n_sequences": np.ones(has_sequence.sum(), np.int32), "n_u": np.full(has_sequence.sum(), 3, np.int32),
        "e_mag_i": error[has_sequence], "e_mag_j": error[has_sequence],
    }  # fmt: skip
    chosen = np.flatnonzero(is_candidate)
    known = [None] * n_candidates
    if n_candidates > 2:
        known[0], known[2] = HOSTILE, "V* KU Aps"
    criteria = ["colour+variability" if place < n_candidates // 2 else "colour" for place in range(n_candidates)]
    candidates = {
        "object_id": ids[chosen], "rank": (chosen + 1).astype(np.int32),
        "reason": pa.array([f"rare colours: u-g {ug[i]:.3f}, ln density {ln_density[i]:.3f}" for i in chosen], pa.string()),
        "criteria": pa.array(criteria, pa.string()), "known_name": pa.array(known, pa.string()),
        "known_type": pa.array([None if name is None else "Sy*" for name in known], pa.string()),
        "raj2000": ra[chosen], "dej2000": dec[chosen], "j_m": j[chosen], "jk0_mag": jk0[chosen],
        "abs_j_mag": abs_j[chosen], "ug_mag": ug[chosen], "uv_mag": uv[chosen], "ln_density": ln_density[chosen],
        "rapid_u_sigma": pa.array([float(sigma[i]) if i % 3 else None for i in chosen], pa.float64()),
        "delta_u_mag": (sigma * error)[chosen],
    }  # fmt: skip
    known_ids = np.concatenate([ids[:3], [7, 8]]) if n > 2 else np.array([7, 8])
    known_objects = {
        "object_id": known_ids.astype(np.int64),
        "name": [HOSTILE, "Known & quiet", "V* KU Aps", "CH Cyg", "V407 Cyg"][5 - len(known_ids) if n > 2 else 3 :],
        "object_type": ["Sy*"] * len(known_ids),
    }
    passes = np.concatenate([np.ones(n, bool), [False, True]])
    cuts: dict[str, Any] = {"object_id": np.concatenate([ids, [7, 8]]).astype(np.int64)}
    cuts |= dict.fromkeys(CUTS, pa.array(np.ones(n + 2, bool)))
    cuts["isolated"] = pa.array(passes)
    cuts["red_jk0"] = pa.array([*[True] * (n + 1), None], pa.bool_())
    return {
        "sample": sample,
        "int_selection__matched": {
            "object_id": np.concatenate([ids, ids + 10**9]), "jk0_mag": np.concatenate([jk0, dwarfs[0]]),
            "abs_j_mag": np.concatenate([abs_j, dwarfs[1]]),
        },
        "int_selection__cuts": cuts,
        "cut_flow": _flow(n),
        "measurements": measurements,
        "colours": {
            "object_id": ids, "ug_mag": ug, "ug_err": error, "uv_mag": uv, "uv_err": error,
            "n_nights_ug": np.ones(n, np.int32), "n_nights_uv": np.ones(n, np.int32),
        },
        "rapid_variability": variability,
        "density_score": {"object_id": ids, "ln_density": ln_density},
        "candidates": candidates,
        "stg_known__objects": known_objects,
    }  # fmt: skip


def _flow(n: int) -> dict[str, Any]:
    """A cut_flow in which the cut named isolated takes 3n + 1 objects and red_jk0 one whose value is missing."""
    names = [*CUTS, "colour_snapshot"]
    lost = {"isolated": (3 * n + 1, 0), "red_jk0": (0, 1)}
    n_in, rows = 4 * n + 2, []
    known_in = 5
    for step, cut in enumerate(names, start=1):
        fail, null = lost.get(cut, (0, 0))
        known = 1 if cut in lost else 0
        rows.append((step, cut, n_in, n_in - fail - null, fail, null, known_in, known_in - known))
        n_in, known_in = n_in - fail - null, known_in - known
    columns = ("step", "cut", "n_in", "n_pass", "n_fail", "n_null", "known_in", "known_pass")
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}


def _measure(
    random: np.random.Generator,
    ids: NDArray[np.int64],
    u: Reals,
    error: Reals,
    ug: Reals,
    uv: Reals,
    sigma: Reals,
    has_sequence: NDArray[np.bool_],
) -> tuple[dict[str, NDArray[np.int64]], dict[str, Any]]:
    """Two Shallow Survey nights of u, v, g for every object, one colour sequence for those that have one."""
    rows: list[tuple[Any, ...]] = []
    pairs: dict[str, list[int]] = {"i": [], "j": [], "sequence": []}
    for place, object_id in enumerate(ids.tolist()):
        level = {"u": u[place], "v": u[place] - uv[place], "g": u[place] - ug[place]}
        err = float(error[place])
        for night in (56800, 57200):
            offset = random.normal(0, 0.1)
            for number, band in enumerate("uvg"):
                image = night * 10**6 + number
                rows.append(
                    (
                        object_id,
                        image,
                        band,
                        level[band] + offset,
                        err,
                        night,
                        night + 0.5 + number / 1440,
                        "fs",
                        None,
                    )
                )
        if not has_sequence[place]:
            continue
        first = 57030 * 10**6
        for number, band in enumerate(SEQUENCE):
            if band in level:
                change = sigma[place] * err * math.sqrt(2) if (band, number) == ("u", 4) else 0.0
                date = 57030.6 + 2 * number / 1440
                rows.append((object_id, first + number, band, level[band] + change, err, 57030, date, "ms", first))
        pairs["i"].append(first)
        pairs["j"].append(first + 4)
        pairs["sequence"].append(first)
    names = (
        "object_id",
        "image_id",
        "filter",
        "mag_psf",
        "e_mag_psf",
        "night_mjd",
        "date",
        "image_type",
        "sequence_id",
    )
    kinds = (
        pa.int64(),
        pa.int64(),
        pa.string(),
        pa.float64(),
        pa.float64(),
        pa.int32(),
        pa.float64(),
        pa.string(),
        pa.int64(),
    )
    columns = {
        name: pa.array([row[at] for row in rows], kind)
        for at, (name, kind) in enumerate(zip(names, kinds, strict=True))
    }
    return {name: np.array(values, np.int64) for name, values in pairs.items()}, columns


def _fill_ledger(house: store.Warehouse, n: int) -> None:
    """A load and a build, as the commands leave them in the ledger."""
    for command in ("load", "build"):
        run_id = ledger.begin_run(house.con, command, {"release": "skymapper_dr2"}, "0.1.0")
        ledger.end_run(house.con, run_id, "done")
    chunk = ledger.Chunk(
        1, "skymapper_dr2", "dr2.master", "file", "master & more.parquet", "parquet", n, n, 1234, "ab" * 32, "1-2-3", {}, ledger.now()
    )  # fmt: skip
    ledger.write_chunk(house.con, 1, chunk)
    for model in ("sample", "candidates"):
        house.run(
            "INSERT INTO meta.model VALUES (?, 'skymapper_dr2', 'table', ?, '{}', '{}', ?, ?, '5-6-7', 0.25, ?, 2, ?)",
            [model, "cd" * 32, "ef" * 32, n, json.dumps({"skysy": "0.1.0", "duckdb": "2.0.0"}), ledger.now()],
        )
    for name, (value, unit, description) in LIMITS.items():
        house.run(
            "INSERT INTO meta.parameter VALUES (?, ?, 'DECIMAL', ?, ?, 'sql/00_parameters.sql', 2)",
            [name, value, unit, description],
        )
    audits = (("aud_quiet", "error", 0, []), ("aud_gaps", "warn", 3, [{"object_id": 7, "name": HOSTILE}]))
    for audit, severity, offenders, sample in audits:
        house.run(
            "INSERT INTO meta.audit (audit, severity, description, offenders, sample, run_id, ran_at) "
            "VALUES (?, ?, ?, ?, ?, 2, ?)",
            [audit, severity, f"Nothing breaks {audit}.", offenders, json.dumps(sample), ledger.now()],
        )
