"""Fields on the sky and the exposures of the survey: which image was taken where, when, in which filter.

Main Survey colour sequences u v g r u v i z u v of 100 s, start to start 120 s; Shallow Survey visits u v
g r i z within about 4 minutes; g, r and i, z on other nights (SkyMapper survey page; Lucy 2021). There is
one telescope: exposures never overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from skysy.analysis.simulate.fields import Fields
from skysy.analysis.simulate.shape import choose

FILTERS = "uvgriz"
IMAGE_TYPES = ("fs", "ms", "std", "bad")
FULL_SEQUENCE = "uvgruvizuv"
FIRST_NIGHT_MJD, LAST_NIGHT_MJD = 56731, 58178  # 2014-03-15, 2018-03-01
OPEN_S, CLOSE_S = 9 * 3600, 19 * 3600  # of a night's UT day: dark hours at Siding Spring
MAIN_EXPOSURE_S, MAIN_STEP_S = 100, 120
_SHALLOW_S = {"u": 40, "v": 20, "g": 5, "r": 5, "i": 10, "z": 20}
_STANDARD_S = {"u": 20, "v": 15, "g": 3, "r": 3, "i": 5, "z": 10}
_SEQUENCES_PER_FIELD = ((0, 1, 2), (0.1, 0.2, 0.7))  # mean 1.6
# Reproducibility of the survey, 1 % in u, v and 0.7 % in g, r, i, z: half its variance is common to an image.
ZERO_POINT_SIGMA_MAG = np.array([0.0071, 0.0071, 0.005, 0.005, 0.005, 0.005])
# zero point for 1 s at the zenith, extinction per airmass
_ZERO_POINT_MAG = np.array([20.9, 21.0, 23.3, 23.2, 22.7, 21.8])
_EXTINCTION_MAG = np.array([0.55, 0.45, 0.20, 0.12, 0.08, 0.06])
_LATITUDE_DEG = -31.27

# Every oddity is planted once before any is left to chance; then with these chances, else a plain sequence.
ODDITIES = {
    "cut_short": 0.05,
    "starts_in_the_middle": 0.02,
    "missing_exposure": 0.02,
    "back_to_back": 0.02,
    "repeated_same_night": 0.04,
    "aborted_and_restarted": 0.02,
    "across_0h_ut": 0.015,
    "one_u": 0.01,
    "four_u": 0.005,
    "no_g_that_night": 0.005,
    "no_v_that_night": 0.005,
}


@dataclass
class Visit:
    """Exposures of one field on one night: (seconds from the visit's start, filter, exposure time in s).

    `sequences` names the runs that are colour sequences as (first, one past the last).
    """

    field_index: int
    kind: str
    image_type: str
    exposures: list[tuple[int, str, int]]
    sequences: list[tuple[int, int]] = field(default_factory=list)
    start_s: int = 0  # seconds since MJD 0
    night_mjd: int = 0

    @property
    def duration_s(self) -> int:
        """From the first start to the end of the last exposure."""
        return self.exposures[-1][0] + self.exposures[-1][2]


@dataclass(frozen=True)
class Images:
    """All exposures, sorted by field and time; those of field f are `first[f]` to `first[f + 1]`."""

    image_id: npt.NDArray[np.int64]
    field_index: npt.NDArray[np.int64]
    date_mjd: npt.NDArray[np.float64]
    night_mjd: npt.NDArray[np.int32]
    filter: npt.NDArray[np.int64]
    exp_time_s: npt.NDArray[np.float64]
    image_type: npt.NDArray[np.int64]
    in_sequence: npt.NDArray[np.bool_]
    zero_point_mag: npt.NDArray[np.float64]
    airmass: npt.NDArray[np.float64]
    fwhm_arcsec: npt.NDArray[np.float64]
    first: npt.NDArray[np.int64]
    zpapprox_mag: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sequence:
    """One colour sequence as it was taken: what a search for sequences should find."""

    kind: str
    field_id: int
    night_mjd: int
    image_ids: tuple[int, ...]
    filters: str

    @property
    def u_image_ids(self) -> tuple[int, ...]:
        """Its u exposures."""
        return tuple(i for i, f in zip(self.image_ids, self.filters, strict=True) if f == "u")


def observe(fields: Fields, rng: np.random.Generator) -> tuple[Images, list[Sequence]]:
    """The survey's exposures of all fields, and its colour sequences."""
    visits = [visit for index in range(len(fields)) for visit in _survey_visits(index, rng)]
    visits += _main_visits(len(fields), rng)
    _schedule(visits, rng)
    return _images(fields, visits, rng), _sequences(fields, visits)


def _survey_visits(index: int, rng: np.random.Generator) -> Iterator[Visit]:
    """The visits of a field that are no colour sequence."""
    for _ in range(rng.integers(2, 4)):
        yield Visit(index, "shallow", "fs", _run("uvgriz", _SHALLOW_S))
    for _ in range(rng.integers(0, 3)):
        yield Visit(index, "gr_pair", "ms", _main_run("gr"))
    for _ in range(rng.integers(0, 2)):
        yield Visit(index, "iz_pairs", "ms", _main_run("iziz"))
    if rng.random() < 0.1:
        yield Visit(index, "long_uv_pair", "ms", [(0, "u", 300), (330, "v", 300)])
    if rng.random() < 0.1:
        yield Visit(index, "standard", "std", _run("uvgriz", _STANDARD_S))
    if index % 4 == 0:
        yield Visit(index, "bad", "bad", _run("uvgriz", _SHALLOW_S))


def _run(filters: str, exposure_s: dict[str, int]) -> list[tuple[int, str, int]]:
    exposures, clock = [], 0
    for name in filters:
        exposures.append((clock, name, exposure_s[name]))
        clock += exposure_s[name] + 20
    return exposures


def _main_run(filters: str, start_s: int = 0) -> list[tuple[int, str, int]]:
    """100 s exposures every 120 s; a `_` is a step at which none was taken."""
    steps = enumerate(filters)
    return [(start_s + step * MAIN_STEP_S, name, MAIN_EXPOSURE_S) for step, name in steps if name != "_"]


def _main_visits(fields: int, rng: np.random.Generator) -> list[Visit]:
    numbers, chances = _SEQUENCES_PER_FIELD
    planned = np.repeat(np.arange(fields), rng.choice(numbers, size=fields, p=chances))
    order = rng.permutation(planned)
    names = [*ODDITIES, "plain"]
    weights = np.array([*ODDITIES.values(), 1 - sum(ODDITIES.values())])
    drawn = rng.choice(len(names), size=len(order), p=weights)
    drawn[: len(ODDITIES)] = np.arange(len(ODDITIES))[: len(order)]
    return [_main_visit(int(index), names[kind], rng) for index, kind in zip(order, drawn, strict=True)]


def _main_visit(index: int, kind: str, rng: np.random.Generator) -> Visit:
    step = len(FULL_SEQUENCE)
    exposures = _main_run(_pattern(kind, rng))
    sequences = [(0, len(exposures))]
    if kind == "back_to_back":
        exposures = _main_run(FULL_SEQUENCE * 2)
        sequences = [(0, step), (step, 2 * step)]
    elif kind == "repeated_same_night":
        pause_s = int(rng.integers(40, 151)) * 60
        exposures += _main_run(FULL_SEQUENCE, exposures[-1][0] + pause_s)
        sequences = [(0, step), (step, 2 * step)]
    elif kind == "aborted_and_restarted":
        exposures = _main_run("uvgr" + FULL_SEQUENCE)
        sequences = [(0, 4), (4, 4 + step)]
    return Visit(index, kind, "ms", exposures, sequences)


def _pattern(kind: str, rng: np.random.Generator) -> str:
    """What was exposed at each step of 120 s."""
    if kind == "cut_short":
        return FULL_SEQUENCE[: rng.integers(5, 10)]
    if kind == "one_u":
        return FULL_SEQUENCE[: rng.integers(2, 5)]
    if kind == "starts_in_the_middle":
        return ("vuvv", "ruvizuv", "vizuv", "uvizuv")[rng.integers(4)]
    if kind == "missing_exposure":
        lost = rng.integers(1, 9)
        return FULL_SEQUENCE[:lost] + "_" + FULL_SEQUENCE[lost + 1 :]
    odd = {"four_u": "uvgruuvizu", "no_g_that_night": "uv_ruvizuv", "no_v_that_night": "u_gru_izu"}
    return odd.get(kind, FULL_SEQUENCE)


def _schedule(visits: list[Visit], rng: np.random.Generator) -> None:
    """Give every visit its night and start: a field once a night, one exposure at a time."""
    queue: dict[int, list[Visit]] = {}
    taken: set[tuple[int, int]] = set()
    for number in rng.permutation(len(visits)):
        visit = visits[number]
        night = int(rng.integers(FIRST_NIGHT_MJD, LAST_NIGHT_MJD + 1))
        while (visit.field_index, night) in taken:
            night += 1
        taken.add((visit.field_index, night))
        queue.setdefault(night, []).append(visit)
    night = FIRST_NIGHT_MJD
    while queue:
        late = _observe_night(night, queue.pop(night, []), rng)
        for visit in late:
            queue.setdefault(night + 1, []).append(visit)
        night += 1


def _observe_night(night: int, visits: list[Visit], rng: np.random.Generator) -> list[Visit]:
    """Start the night's visits one after the other; returns those that have to wait for another night."""
    late: list[Visit] = []
    done: set[int] = set()
    clock = OPEN_S + int(rng.integers(0, 3600))
    midnight_free = True
    for visit in visits:
        if visit.field_index in done:
            late.append(visit)
            continue
        if visit.kind == "across_0h_ut" and midnight_free:
            start, midnight_free = 86400 - int(rng.integers(2, 16)) * 60, False
        elif visit.kind != "across_0h_ut" and clock + visit.duration_s <= CLOSE_S:
            start = clock
            clock += visit.duration_s + int(rng.integers(60, 600))
        else:
            late.append(visit)
            continue
        visit.night_mjd, visit.start_s = night, night * 86400 + start
        done.add(visit.field_index)
    return late


def _images(fields: Fields, visits: list[Visit], rng: np.random.Generator) -> Images:
    rows = [
        (
            visit.field_index,
            visit.start_s + offset,
            visit.night_mjd,
            FILTERS.index(name),
            exposure,
            IMAGE_TYPES.index(visit.image_type),
            bool(visit.sequences),
        )
        for visit in visits
        for offset, name, exposure in visit.exposures
    ]
    table = np.array(sorted(rows), dtype=np.int64)
    index, start_s, night, band, exposure, kind, in_sequence = table.T
    count = len(table)
    airmass = _airmass(fields.dec_deg[index], rng)
    dimming = _EXTINCTION_MAG[band] * (airmass - 1) + rng.normal(0, 0.03, count)
    return Images(
        image_id=image_ids(start_s),
        field_index=index,
        date_mjd=np.round((start_s + rng.uniform(0.1, 0.9, count)) / 86400, 8),
        night_mjd=night.astype(np.int32),
        filter=band,
        exp_time_s=exposure.astype(np.float64),
        image_type=kind,
        in_sequence=in_sequence.astype(bool),
        zero_point_mag=rng.normal(0, 1, count) * ZERO_POINT_SIGMA_MAG[band],
        airmass=airmass,
        fwhm_arcsec=2.4 + rng.gamma(2, 0.35, count),
        first=np.searchsorted(index, np.arange(len(fields) + 1)),
        zpapprox_mag=_ZERO_POINT_MAG[band] + 2.5 * np.log10(exposure) - dimming,
    )


def image_ids(start_s: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """YYYYMMDDhhmmss of whole seconds (UT) since MJD 0."""
    moment = np.datetime64("1858-11-17", "s") + start_s.astype("timedelta64[s]")
    day = moment.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    year = moment.astype("datetime64[Y]").astype(np.int64) + 1970
    date = year * 10_000 + (month.astype(np.int64) % 12 + 1) * 100 + (day - month).astype(np.int64) + 1
    second = start_s % 86_400
    ids: npt.NDArray[np.int64] = date * 1_000_000 + second // 3_600 * 10_000 + second // 60 % 60 * 100 + second % 60
    return ids


def _airmass(dec_deg: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Secant of the zenith distance within 1.5 h of the meridian."""
    hour_angle = np.radians(rng.uniform(-22, 22, dec_deg.size))
    latitude, dec = np.radians(_LATITUDE_DEG), np.radians(dec_deg)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    airmass: npt.NDArray[np.float64] = 1 / sine
    return airmass


def _sequences(fields: Fields, visits: list[Visit]) -> list[Sequence]:
    found = []
    for visit in visits:
        starts = np.array([visit.start_s + offset for offset, _, _ in visit.exposures], dtype=np.int64)
        for first, end in visit.sequences:
            ids = tuple(int(i) for i in image_ids(starts[first:end]))
            filters = "".join(name for _, name, _ in visit.exposures[first:end])
            found.append(Sequence(visit.kind, int(fields.field_id[visit.field_index]), visit.night_mjd, ids, filters))
    return sorted(found, key=lambda sequence: sequence.image_ids)


def image_columns(fields: Fields, images: Images, rng: np.random.Generator) -> dict[str, Any]:
    """Columns of dr2.images, angles in degrees."""
    count = len(images.image_id)
    index, field_id = images.field_index, fields.field_id[images.field_index]
    names = choose(tuple(f"field {number}" for number in fields.field_id), index)
    return {
        "image_id": images.image_id,
        "night_mjd": images.night_mjd,
        "date": images.date_mjd,
        "ra": np.round(fields.ra_deg[index], 5),
        "decl": np.round(np.maximum(fields.dec_deg[index], -90), 5),
        "field_id": field_id,
        "exp_time": images.exp_time_s,
        "airmass": np.round(images.airmass, 4),
        "filter": choose(tuple(FILTERS), images.filter),
        "rotator_pos": np.round(rng.uniform(0, 360, count), 2),
        "object": names,
        "image_type": choose(IMAGE_TYPES, images.image_type),
        "fwhm": np.round(images.fwhm_arcsec, 2),
        "elong": np.round(1.05 + rng.exponential(0.05, count), 3),
        "background": np.round(rng.gamma(4, 30, count), 1),
        "zpapprox": np.round(images.zpapprox_mag, 3),
    }
