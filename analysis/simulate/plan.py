"""What the simulated sky is made of: how many objects of each kind, and which one thing is wrong with each.

An object has a `kind` (its stellar population) and a `feature` (plain, or the one property by which it
tests a cut). Quotas are exact, so every feature is there in the smallest sky too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skysy.errors import UsageError

MIN_OBJECTS = 1_000
MAX_OBJECTS = 1_000_000
FLICKER_AMPLITUDES_MAG = (0.02, 0.05, 0.1, 0.2, 0.4)

# The cuts of the selection in their order (Lucy 2021, ADQL, then distance and luminosity).
CUTS = (
    "twomass_match",
    "gaia_match",
    "allwise_match",
    "isolated",
    "ph_qual_aaa",
    "gal_contam_none",
    "not_extended",
    "cc_flg_clean",
    "class_star",
    "flags_psf_clean",
    "u_observed",
    "v_observed",
    "g_observed",
    "single_child",
    "red_jk",
    "bright_j",
    "distance_converged",
    "red_jk0",
    "luminous_mj",
)

# kind -> share of all objects; red_giant takes what is left
KINDS = {
    "red_giant": 0.0,
    "pulsating_giant": 0.08,
    "carbon_star": 0.012,
    "m_dwarf": 0.035,
    "reddened_giant": 0.035,
    "bluer_star": 0.08,
    "faint_giant": 0.03,
    "flickerer": 0.004,
    "quiet_symbiotic": 0.001,
}
_MIN_FLICKERERS = 20
_MIN_QUIET = 8


@dataclass(frozen=True)
class Feature:
    """One property that sets an object apart: its share, the table where it shows, what must take the object.

    `taken_by` is `cut:<name>`, or `none` for a trap that must not cost the object its place.
    """

    name: str
    share: float
    table: str
    taken_by: str


FEATURES = (
    Feature("plain", 0.0, "", ""),
    Feature("twomass_missing", 0.005, "dr2.master", "cut:twomass_match"),
    Feature("twomass_far", 0.005, "dr2.master", "cut:twomass_match"),
    Feature("twomass_dist_exactly_2", 0.0, "dr2.master", "cut:twomass_match"),
    Feature("gaia_missing", 0.005, "dr2.master", "cut:gaia_match"),
    Feature("gaia_far", 0.005, "dr2.master", "cut:gaia_match"),
    Feature("gaia_dist_exactly_2", 0.0, "dr2.master", "cut:gaia_match"),
    Feature("allwise_missing", 0.006, "dr2.master", "cut:allwise_match"),
    Feature("allwise_far", 0.006, "dr2.master", "cut:allwise_match"),
    Feature("allwise_dist_exactly_3", 0.0, "dr2.master", "cut:allwise_match"),
    Feature("close_neighbour", 0.025, "dr2.master", "cut:isolated"),
    Feature("prox_exactly_6", 0.0, "dr2.master", "cut:isolated"),
    Feature("prox_just_over_6", 0.0, "dr2.master", "none"),
    Feature("ph_qual_poor", 0.006, "ext.twomass_psc", "cut:ph_qual_aaa"),
    Feature("ph_qual_upper_limit", 0.004, "ext.twomass_psc", "cut:ph_qual_aaa"),
    Feature("gal_contam", 0.005, "ext.twomass_psc", "cut:gal_contam_none"),
    Feature("extended", 0.005, "ext.twomass_psc", "cut:not_extended"),
    Feature("ext_key_zero", 0.004, "ext.twomass_psc", "none"),
    Feature("cc_flg_confused", 0.008, "ext.twomass_psc", "cut:cc_flg_clean"),
    Feature("class_star_low", 0.008, "dr2.master", "cut:class_star"),
    Feature("class_star_exactly_09", 0.0, "dr2.master", "cut:class_star"),
    Feature("class_star_just_over_09", 0.0, "dr2.master", "none"),
    Feature("blended", 0.012, "dr2.master", "cut:flags_psf_clean"),
    Feature("no_u", 0.01, "dr2.photometry", "cut:u_observed"),
    Feature("no_v", 0.005, "dr2.photometry", "cut:v_observed"),
    Feature("no_g", 0.005, "dr2.photometry", "cut:g_observed"),
    Feature("two_children", 0.008, "dr2.master", "cut:single_child"),
    Feature("jk_exactly_0850", 0.0, "ext.twomass_psc", "cut:red_jk"),
    Feature("jk_0850_from_9050_8200", 0.0, "ext.twomass_psc", "cut:red_jk"),
    Feature("jk_0851", 0.0, "ext.twomass_psc", "none"),
    Feature("j_faint", 0.004, "ext.twomass_psc", "cut:bright_j"),
    Feature("j_exactly_14000", 0.0, "ext.twomass_psc", "cut:bright_j"),
    Feature("j_13999", 0.0, "ext.twomass_psc", "none"),
    Feature("distance_missing", 0.005, "gaiadr2_complements.geometric_distance", "cut:distance_converged"),
    Feature("distance_failed", 0.005, "gaiadr2_complements.geometric_distance", "cut:distance_converged"),
    Feature("distance_doubtful", 0.002, "gaiadr2_complements.geometric_distance", "cut:distance_converged"),
    Feature("mj_exactly_0", 0.0, "gaiadr2_complements.geometric_distance", "cut:luminous_mj"),
    Feature("high_proper_motion", 0.002, "ext.gaia_dr2", "none"),
    Feature("across_ra_0", 0.002, "dr2.master", "none"),
    Feature("at_the_pole", 0.0005, "dr2.master", "none"),
)
_MIN_EACH = 3
# What is wrong with those known symbiotics that the selection loses.
_LOSSES = (
    "close_neighbour",
    "ph_qual_poor",
    "class_star_low",
    "blended",
    "distance_missing",
    "cc_flg_confused",
)

_KIND_CODE = {name: code for code, name in enumerate(KINDS)}
_FEATURE_CODE = {feature.name: code for code, feature in enumerate(FEATURES)}


@dataclass(frozen=True)
class Entry:
    """A group of objects alike: codes of kind and feature, rms of the flickering in u (NaN: none).

    `is_known`: the list of known objects has it; `is_hidden`: its colours are those of a normal giant.
    """

    kind: int
    feature: int
    amplitude_mag: float = float("nan")
    is_known: bool = False
    is_hidden: bool = False


@dataclass(frozen=True)
class Plan:
    """The entry of every object: `codes[i]` points into `entries`."""

    entries: tuple[Entry, ...]
    codes: npt.NDArray[np.int16]

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return len(self.codes)


def kind_code(name: str) -> int:
    """The code of a kind."""
    return _KIND_CODE[name]


def feature_code(name: str) -> int:
    """The code of a feature."""
    return _FEATURE_CODE[name]


def make_plan(objects: int, rng: np.random.Generator) -> Plan:
    """Exact quotas of every entry in random order; raises UsageError outside 1,000 to 1,000,000 objects."""
    if not MIN_OBJECTS <= objects <= MAX_OBJECTS:
        raise UsageError(
            f"A sky of {objects:,} objects cannot be simulated.",
            f"Give a number from {MIN_OBJECTS:,} to {MAX_OBJECTS:,}.",
        )
    quotas = _quotas(objects)
    counts = np.array(list(quotas.values()))
    codes = np.repeat(np.arange(len(quotas), dtype=np.int16), counts)
    rng.shuffle(codes)
    return Plan(tuple(quotas), codes)


def _quotas(objects: int) -> dict[Entry, int]:
    plain = feature_code("plain")
    quotas: dict[Entry, int] = {}
    for name, share in KINDS.items():
        if name not in ("red_giant", "flickerer", "quiet_symbiotic"):
            quotas[Entry(kind_code(name), plain)] = max(_MIN_EACH, round(share * objects))
    giant = kind_code("red_giant")
    for feature in FEATURES[1:]:
        quotas[Entry(giant, feature_code(feature.name))] = max(_MIN_EACH, round(feature.share * objects))
    quotas.update(_symbiotic_quotas(objects))
    return {Entry(giant, plain): objects - sum(quotas.values()), **quotas}


def _symbiotic_quotas(objects: int) -> dict[Entry, int]:
    """Flickerers evenly over the amplitudes; some hide on the locus of normal giants; most are known."""
    quotas: dict[Entry, int] = {}
    plain = feature_code("plain")
    flickerers = max(_MIN_FLICKERERS, round(KINDS["flickerer"] * objects))
    for number in range(flickerers):
        amplitude = FLICKER_AMPLITUDES_MAG[number % 5]
        turn = number // 5
        entry = Entry(kind_code("flickerer"), plain, amplitude, turn % 3 != 1, turn % 5 == 3)
        quotas[entry] = quotas.get(entry, 0) + 1
    quiet = max(_MIN_QUIET, round(KINDS["quiet_symbiotic"] * objects))
    for number in range(quiet):
        entry = Entry(kind_code("quiet_symbiotic"), plain, is_known=number % 3 != 1)
        quotas[entry] = quotas.get(entry, 0) + 1
    for number in range(max(len(_LOSSES), round(0.0005 * objects))):
        feature = feature_code(_LOSSES[number % len(_LOSSES)])
        entry = Entry(kind_code("quiet_symbiotic"), feature, is_known=True)
        quotas[entry] = quotas.get(entry, 0) + 1
    return quotas
