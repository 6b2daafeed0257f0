"""Bad rows planted on purpose: what archives really send, each with the name of what must take it.

A planted row fails one quality cut and no other, and never changes whether its object belongs to the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skysy.analysis.simulate.cadence import FILTERS, IMAGE_TYPES, Images, Sequence
from skysy.analysis.simulate.photometry import CLIPPED, NOT_CONSIDERED, USED, Detections
from skysy.analysis.simulate.plan import FEATURES
from skysy.analysis.simulate.sky import Stars

OBJECTS_PER_FAULT = 5_000
_MIN_OF_EACH = 2

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BadRow:
    """One planted row (or `count` alike): where it stands and what must take it (`none`: nothing may)."""

    kind: str
    table_name: str
    object_id: int | None
    image_id: int | None
    count: int
    taken_by: str


def _clip_null(rows: Detections) -> None:
    rows.used[:] = NOT_CONSIDERED
    rows.mag += 1.0


def _mag_null(rows: Detections) -> None:
    rows.mag_null[:] = True


def _error_null(rows: Detections) -> None:
    rows.error_null[:] = True


def _mag_is(value: float) -> Callable[[Detections], None]:
    def edit(rows: Detections) -> None:
        rows.mag[:] = value

    return edit


def _error_is(value: float) -> Callable[[Detections], None]:
    def edit(rows: Detections) -> None:
        rows.e_mag[:] = value

    return edit


def _flags_are(value: int) -> Callable[[Detections], None]:
    def edit(rows: Detections) -> None:
        rows.flags[:] = value
        rows.mag += 1.0

    return edit


def _nimaflags_are(value: int) -> Callable[[Detections], None]:
    def edit(rows: Detections) -> None:
        rows.nimaflags[:] = value
        rows.mag += 1.0

    return edit


# kind -> (what is done to a good u measurement of a sequence, what must take it)
EDITS: dict[str, tuple[Callable[[Detections], None], str]] = {
    "clip_null": (_clip_null, "measurements.clip_considered"),
    "mag_null": (_mag_null, "measurements.mag_finite"),
    "mag_nan": (_mag_is(np.nan), "measurements.mag_finite"),
    "mag_inf": (_mag_is(np.inf), "measurements.mag_finite"),
    "mag_minus_99": (_mag_is(-99.0), "measurements.mag_range"),
    "mag_99": (_mag_is(99.0), "measurements.mag_range"),
    "mag_zero": (_mag_is(0.0), "measurements.mag_range"),
    "error_null": (_error_null, "measurements.error_finite"),
    "error_nan": (_error_is(np.nan), "measurements.error_finite"),
    "error_inf": (_error_is(np.inf), "measurements.error_finite"),
    "error_zero": (_error_is(0.0), "measurements.error_range"),
    "error_negative": (_error_is(-0.0033), "measurements.error_range"),
    "error_huge": (_error_is(9.99), "measurements.error_range"),
    "flags_saturated": (_flags_are(4), "measurements.flags"),
    "flags_truncated": (_flags_are(8), "measurements.flags"),
    "nimaflags_at_limit": (_nimaflags_are(5), "measurements.nimaflags"),
    "nimaflags_many": (_nimaflags_are(300), "measurements.nimaflags"),
}
COPIES = ("copied_row", "second_detection_same_ccd", "second_detection_other_ccd", "overlapping_cones")
STAGING = {
    "master_row_twice": ("dr2.master", "staging.one_per_object"),
    "twomass_row_twice": ("ext.twomass_psc", "staging.one_per_source"),
    "allwise_row_twice": ("ext.allwise", "staging.one_per_source"),
    "gaia_row_twice": ("ext.gaia_dr2", "staging.one_per_source"),
    "distance_row_twice": ("gaiadr2_complements.geometric_distance", "staging.one_per_source"),
}
_PHOTOMETRY = "dr2.photometry"


class Planter:
    """Plants the faults of one batch and keeps the list of them."""

    def __init__(self, stars: Stars, images: Images, rng: np.random.Generator) -> None:
        self.rows: list[BadRow] = []
        self._stars = stars
        self._images = images
        self._rng = rng
        self._each = max(_MIN_OF_EACH, len(stars) // OBJECTS_PER_FAULT)
        self._spent = np.zeros(len(stars), dtype=bool)

    def spoil(self, found: Detections) -> Detections:
        """Change single measurements in place; returns the rows to add to the table."""
        plain = self._stars.is_kind("red_giant") & self._stars.has("plain") & (self._stars.mags[:, 0] < 18)
        targets = self._targets(found, plain)
        for kind, (edit, taken_by) in EDITS.items():
            chosen = self._take(targets, found.star)
            self._edit(found, chosen, edit)
            self._note(kind, found, chosen, taken_by)
        self._spoil_bad_images(found, plain)
        self._keep_clipped(found)
        added = [self._copies(kind, found, self._take(targets, found.star)) for kind in COPIES]
        added += [self._strangers(found, self._take(targets, found.star))]
        added += [self._unmerged(found, self._take(targets, found.star))]
        return added[0].with_rows(*added[1:])

    def _targets(self, found: Detections, plain: Bools) -> Ints:
        """One good u measurement within a sequence of each plain giant that can spare it, in random order."""
        used = found.used == USED
        spare = plain.copy()
        for band in range(3):
            spare &= np.bincount(found.star[used & (found.filter == band)], minlength=len(plain)) >= 4
        good = used & (found.filter == FILTERS.index("u")) & self._images.in_sequence[found.image]
        candidates = self._rng.permutation(np.flatnonzero(good & spare[found.star]))
        _, first = np.unique(found.star[candidates], return_index=True)
        return self._rng.permutation(candidates[first])

    def _take(self, targets: Ints, star: Ints) -> Ints:
        """The next targets whose objects bear no fault yet."""
        chosen = targets[~self._spent[star[targets]]][: self._each]
        self._spent[star[chosen]] = True
        return chosen

    @staticmethod
    def _edit(found: Detections, chosen: Ints, edit: Callable[[Detections], None]) -> None:
        changed = found.rows(chosen)
        edit(changed)
        for name in ("mag", "e_mag", "mag_null", "error_null", "flags", "nimaflags", "used"):
            getattr(found, name)[chosen] = getattr(changed, name)

    def _note(self, kind: str, rows: Detections, chosen: Ints, taken_by: str) -> None:
        for row in chosen:
            object_id = int(rows.object_id[row]) or None
            self.rows.append(BadRow(kind, _PHOTOMETRY, object_id, int(rows.image_id[row]), 1, taken_by))

    def _spoil_bad_images(self, found: Detections, plain: Bools) -> None:
        """Measurements in bad images that look fine: only the image's type tells."""
        bad = self._images.image_type[found.image] == IMAGE_TYPES.index("bad")
        sound = bad & plain[found.star] & (found.flags < 4) & (found.nimaflags < 5)
        rows = self._rng.permutation(np.flatnonzero(sound & (found.filter == FILTERS.index("u"))))
        _, first = np.unique(found.star[rows], return_index=True)
        chosen = self._take(self._rng.permutation(rows[first]), found.star)
        found.used[chosen] = USED
        found.mag[chosen] += 1.0
        self._note("image_bad", found, chosen, "measurements.image_type")

    def _keep_clipped(self, found: Detections) -> None:
        """The largest excursions of flickerers: clipped from the catalogue mean, and what is looked for."""
        flickers = (self._stars.flicker_mag[found.star] >= 0.1) & (found.filter == FILTERS.index("u"))
        rows = np.flatnonzero(flickers & (found.used != NOT_CONSIDERED) & self._images.in_sequence[found.image])
        excursion = np.abs(found.mag[rows] - self._stars.mags[found.star[rows], 0])
        rows = rows[np.argsort(-excursion, kind="stable")]
        _, first = np.unique(found.star[rows], return_index=True)
        several = np.bincount(found.star[rows], minlength=len(self._stars)) >= 4
        chosen = rows[np.sort(first)]
        chosen = chosen[several[found.star[chosen]]][: self._each]
        found.used[chosen] = CLIPPED
        self._note("used_in_clip_false", found, chosen, "none")

    def _copies(self, kind: str, found: Detections, chosen: Ints) -> Detections:
        """The same detection again, or another one of the same object in the same image."""
        if kind == "overlapping_cones":
            chosen = np.flatnonzero(np.isin(found.star, found.star[chosen]) & (found.used != NOT_CONSIDERED))
        added = found.rows(chosen)
        if kind.startswith("second_detection"):
            added.mag += 1.0
            added.e_mag += 0.05
            added.x_img += 6.0
        if kind == "second_detection_other_ccd":
            added.ccd[:] = added.ccd % 32 + 1
        self._note(kind, added, np.arange(len(added)), "measurements.one_per_image")
        return added

    def _strangers(self, found: Detections, chosen: Ints) -> Detections:
        """Detections in images that the image table does not have."""
        added = found.rows(chosen)
        added.image_id += 1
        added = added.rows(~np.isin(added.image_id, self._images.image_id))
        added.mag += 1.0
        self._note("image_unknown", added, np.arange(len(added)), "measurements.image_known")
        return added

    def _unmerged(self, found: Detections, chosen: Ints) -> Detections:
        """Detections that the survey merged into no object."""
        added = found.rows(chosen)
        added.object_id[:] = 0
        added.mag += 1.0
        _, first = np.unique(added.image_id, return_index=True)
        added = added.rows(np.sort(first))
        self._note("object_null", added, np.arange(len(added)), "measurements.object_known")
        return added

    def twice(self, kind: str, in_sample: Bools) -> Ints:
        """Rows of the batch whose catalogue row is to be sent twice."""
        free = np.flatnonzero(in_sample & ~self._spent)
        chosen = self._rng.permutation(free)[: self._each]
        self._spent[chosen] = True
        table, taken_by = STAGING[kind]
        self.rows += [BadRow(kind, table, int(self._stars.object_id[i]), None, 1, taken_by) for i in chosen]
        return np.sort(chosen)

    def note_features(self, fails: dict[str, Bools], in_sample: Bools) -> None:
        """Objects that one cut must take, and traps that none may."""
        for code, feature in enumerate(FEATURES):
            if not feature.taken_by:
                continue
            cut = feature.taken_by.removeprefix("cut:")
            stands = in_sample if cut == "none" else fails[cut]
            for row in np.flatnonzero((self._stars.feature == code) & stands):
                object_id = int(self._stars.object_id[row])
                self.rows.append(BadRow(feature.name, feature.table, object_id, None, 1, feature.taken_by))

    def note_sequences(self, found: Detections, sequences: list[Sequence], in_sample: Bools) -> None:
        """A good u measurement in a sequence of every odd kind: it must stand, however the sequence looks."""
        free = in_sample & ~self._spent
        good = (found.used == USED) & (found.filter == FILTERS.index("u")) & free[found.star]
        rows = np.flatnonzero(good)
        images, first = np.unique(found.image_id[rows], return_index=True)
        for kind in dict.fromkeys(sequence.kind for sequence in sequences if sequence.kind != "plain"):
            wanted = [i for sequence in sequences if sequence.kind == kind for i in sequence.u_image_ids]
            here = np.flatnonzero(np.isin(images, wanted))
            if here.size:
                self._note(f"sequence_{kind}", found, rows[first[here[:1]]], "none")
