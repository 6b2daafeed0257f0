"""The simulated sky under the names of another release: the same stars and detections, tables and columns as that archive has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from skysy.analysis.simulate.shape import Values

from skysy.errors import NotFound, did_you_mean

SKYMAPPER_DR2 = "skymapper_dr2"
_WITHOUT_FIELD = 5  # one field in so many has no number
_BANDS = "uvgriz"


@dataclass(frozen=True)
class Release:
    """How a release names what is made under the names of SkyMapper DR2.

    `tables` are its names by those of DR2; `columns` its column by table and column of DR2, None where it has none;
    `changed` gives other values of columns of its own, by table of DR2, where a name alone does not do.
    """

    name: str
    tables: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    changed: Mapping[str, Callable[[Values], Values]] = field(default_factory=dict)

    def table(self, name: str) -> str:
        """Its name of a table of DR2."""
        return self.tables.get(name, name)

    def values(self, table: str, values: Values) -> Values:
        """Columns of a table of DR2 as it has them."""
        named = self.columns.get(table, {})
        kept = {named.get(name, name): value for name, value in values.items()}
        mine = {name: value for name, value in kept.items() if name is not None}
        return {**mine, **self.changed[table](mine)} if table in self.changed else mine


def _master(values: Values) -> Values:
    """A source without another one within 15 arcsec has no distance to it."""
    distance = values["self_dist1"]
    return {"self_dist1": np.ma.masked_where(distance >= 15, distance)}


def _images(values: Values) -> Values:
    """Some fields are of another programme, which has no field numbers."""
    number, kind = values["field_id"], values["image_type"]
    without = number % _WITHOUT_FIELD == 0
    is_main = pc.and_(pa.array(without), pc.equal(kind, "ms"))
    return {
        "field_id": np.ma.masked_where(without, number),
        "image_type": pc.if_else(is_main, "3ps", kind),
    }


def _gaia(values: Values) -> Values:
    return {"ref_epoch": np.full(len(values["source_id"]), 2016.0)}


_DR4 = Release(
    "skymapper_dr4",
    tables={
        "dr2.master": "dr4.master",
        "dr2.photometry": "dr4.photometry",
        "dr2.images": "dr4.images",
        "ext.gaia_dr2": "ext.gaia_dr3",
        "gaiadr2_complements.geometric_distance": "gedr3dist.main",
    },
    columns={
        "dr2.master": {
            "prox": "self_dist1",
            "prox_id": "self_id1",
            "density": "cnt_self_15",
            "gaia_dr2_id1": "gaia_dr3_id1",
            "gaia_dr2_dist1": "gaia_dr3_dist1",
            "ngood_min": None,
            "nch_max": None,
            **{f"{band}_{name}": None for band in _BANDS for name in ("nch", "rchi2var")},
        },
        "dr2.photometry": {"used_in_clip": "use_in_clipped"},
        "gaiadr2_complements.geometric_distance": {
            "r_est": "r_med_geo",
            "r_lo": "r_lo_geo",
            "r_hi": "r_hi_geo",
            "r_len": None,
            "result_flag": None,
            "modality_flag": None,
        },
    },
    changed={"dr2.master": _master, "dr2.images": _images, "ext.gaia_dr2": _gaia},
)
RELEASES = {one.name: one for one in (Release(SKYMAPPER_DR2), _DR4)}


def release_named(name: str) -> Release:
    """The release of that name; raises NotFound with those that can be simulated."""
    if name not in RELEASES:
        raise NotFound(f"No sky of release {name!r} can be simulated.", did_you_mean(name, RELEASES))
    return RELEASES[name]
