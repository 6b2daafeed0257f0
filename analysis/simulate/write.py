"""The simulated sky as files in the formats in which archives deliver, with the truth beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from skysy.analysis.simulate import catalogue, truth
from skysy.analysis.simulate.cadence import Images, Sequence, image_columns, observe
from skysy.analysis.simulate.faults import STAGING, BadRow, Planter
from skysy.analysis.simulate.fields import Fields, make_fields
from skysy.analysis.simulate.photometry import detect, detection_columns
from skysy.analysis.simulate.plan import FEATURES, Plan, make_plan
from skysy.analysis.simulate.releases import SKYMAPPER_DR2, Release, release_named
from skysy.analysis.simulate.shape import Values, shaped
from skysy.analysis.simulate.sky import Stars, make_stars

from skysy import __version__
from skysy.contract import Contract, load_contract
from skysy.errors import UsageError, did_you_mean
from skysy.formats.fits import booleans_as_numbers
from skysy.formats.parquet import ParquetStream
from skysy.formats.write import FORMATS, SUFFIX, write_table

# The formats in which each table comes where none is asked for: a mix, as from as many archives. Names are those of DR2.
ARCHIVE_FORMATS = {
    "dr2.master": "parquet",
    "dr2.photometry": "csv.gz",
    "dr2.images": "csv.gz",
    "ext.twomass_psc": "parquet",
    "ext.allwise": "csv.gz",
    "ext.gaia_dr2": "votable-binary2",
    "gaiadr2_complements.geometric_distance": "fits",
    "known.objects": "csv",
}
TRUTH = "truth"
DEFAULT_BATCH = 20_000
_PLAN, _SURVEY, _BATCH = 0, 1, 2  # branches of the random stream


@dataclass(frozen=True)
class SimulatedFile:
    """One file written: its path, table, rows and bytes."""

    path: Path
    table: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class SimulationSummary:
    """What was written, how many objects the selection should keep and how many flicker,."""

    directory: Path
    objects: int
    seed: int
    files: tuple[SimulatedFile, ...]
    expected_in_sample: int
    flickerers: int
    known_symbiotics: int
    bad_rows: int
    seconds: float

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each table over all its files."""
        total: dict[str, int] = {}
        for file in self.files:
            total[file.table] = total.get(file.table, 0) + file.rows
        return total


@dataclass
class _Batch:
    """One batch as tables: `tables` by name, `repeated` the catalogue rows to send twice, and its truth."""

    tables: dict[str, pa.Table]
    repeated: dict[str, pa.Table]
    objects: pa.Table
    bad_rows: list[BadRow]


@dataclass(frozen=True)
class _Survey:
    """What all batches share."""

    release: Release
    contract: Contract
    plan: Plan
    fields: Fields
    images: Images
    sequences: list[Sequence]
    seed: int

    def shaped(self, table: str, values: Values, rows: npt.NDArray[np.generic] | None = None) -> pa.Table:
        """A table of DR2 as the release has it."""
        there = self.contract.table(self.release.table(table))
        return shaped(there, self.release.values(table, values), rows)

    def bad_rows(self, rows: list[BadRow]) -> pa.Table:
        """The planted rows, with the release's names of tables."""
        return truth.bad_row_table([replace(row, table_name=self.release.table(row.table_name)) for row in rows])


def simulate(
    directory: Path,
    objects: int,
    seed: int,
    *,
    release: str = SKYMAPPER_DR2,
    format: str | None = None,
    batch: int = DEFAULT_BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationSummary:
    """A sky of `objects` objects in `directory`: one file per table and batch, and a directory `truth`.

    The same objects, seed and batch give the same bytes; another `release` the same sky, as its archive names tables and
    columns, with the same truth of stars and sequences. `format` writes all tables in one format instead
    of the archives' mix; FITS has booleans as 0 and 1, with a TNULL. `progress` is called with (objects done, all objects). Memory does not grow with
    `objects` beyond one batch. Raises UsageError for a number outside 1,000 to 1,000,000, for an unknown
    format and for a directory that holds something, NotFound for a release that cannot be simulated.
    """
    started = time.monotonic()
    names = release_named(release)
    formats = {names.table(table): form for table, form in _formats(format).items()}
    survey = _make_survey(objects, seed, names)
    _claim(directory)
    writer = _Writer(directory, survey.contract, formats, -(-objects // batch))
    _write_images(writer, survey)
    known, counts = [], np.zeros(4, dtype=np.int64)
    with _truth_stream(directory, "objects") as truth_out, _truth_stream(directory, "bad_rows") as bad_out:
        bad_out.write(survey.bad_rows(_image_faults(survey)))
        for number, start in enumerate(range(0, objects, batch)):
            made = _make_batch(survey, number, start, min(start + batch, objects))
            known.append(made.tables.pop("known.objects"))
            writer.write_parts(number, made.tables, made.repeated)
            truth_out.write(made.objects)
            bad_out.write(survey.bad_rows(made.bad_rows))
            counts += _counts(made)
            del made  # two batches are never held at once
            if progress:
                progress(min(start + batch, objects), objects)
    writer.write("known.objects", pa.concat_tables(known))
    _write_about(directory, survey, formats, batch)
    expected, flickerers, symbiotics, bad_rows = (int(count) for count in counts)
    return SimulationSummary(
        directory=directory,
        objects=objects,
        seed=seed,
        files=tuple(writer.files),
        expected_in_sample=expected,
        flickerers=flickerers,
        known_symbiotics=symbiotics,
        bad_rows=bad_rows + len(_image_faults(survey)),
        seconds=time.monotonic() - started,
    )


def _formats(format: str | None) -> dict[str, str]:
    if format is None:
        return ARCHIVE_FORMATS
    if format not in SUFFIX:
        raise UsageError(f"There is no format {format!r}.", did_you_mean(format, FORMATS))
    return dict.fromkeys(ARCHIVE_FORMATS, format)


def _rng(seed: int, *branch: int) -> np.random.Generator:
    """A random stream of its own for each part of the sky, so that none depends on another."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=branch))


def _make_survey(objects: int, seed: int, release: Release) -> _Survey:
    plan = make_plan(objects, _rng(seed, _PLAN))
    fields = make_fields(objects)
    images, sequences = observe(fields, _rng(seed, _SURVEY))
    return _Survey(release, load_contract(release.name), plan, fields, images, sequences, seed)


def _claim(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            f"{directory} is there already and not empty.", "Name a new directory, or empty that one first."
        )
    try:
        (directory / TRUTH).mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{directory} cannot be made: {error.strerror}.", "Name another directory.") from error


def _make_batch(survey: _Survey, number: int, start: int, stop: int) -> _Batch:
    streams = iter(_rng(survey.seed, _BATCH, number).spawn(10))
    stars = make_stars(survey.plan, start, stop, survey.fields, next(streams))
    found = detect(stars, survey.fields, survey.images, next(streams))
    photometry = catalogue.means(stars, found, survey.images, next(streams))
    planter = Planter(stars, survey.images, next(streams))
    added = planter.spoil(found)
    photometry |= catalogue.counts(stars, found)
    master = catalogue.master(stars, photometry, next(streams))
    twomass = catalogue.twomass(stars, master, next(streams))
    allwise = catalogue.allwise(stars, master, next(streams))
    gaia = catalogue.gaia(stars, master, next(streams))
    distance = catalogue.distances(stars, gaia, next(streams))
    fails = truth.failed_cuts(master, twomass, gaia, allwise, distance)
    in_sample = ~np.any(list(fails.values()), axis=0)
    planter.note_features(fails, in_sample)
    planter.note_sequences(found, survey.sequences, in_sample)
    by_table = {
        "dr2.master": master,
        "ext.twomass_psc": twomass,
        "ext.allwise": allwise,
        "ext.gaia_dr2": gaia,
        "gaiadr2_complements.geometric_distance": distance,
    }
    repeated = {
        survey.release.table(table): survey.shaped(table, by_table[table].columns, planter.twice(kind, in_sample))
        for kind, (table, _) in STAGING.items()
    }
    tables = {
        survey.release.table(name): survey.shaped(name, rows.columns, np.flatnonzero(rows.present))
        for name, rows in by_table.items()
    }
    detections = detection_columns(found.with_rows(added), stars, next(streams))
    tables[survey.release.table("dr2.photometry")] = survey.shaped("dr2.photometry", detections)
    tables["known.objects"] = _known(survey.contract, stars, master.columns["smss_j"])
    objects = truth.object_table(stars, fails, tuple(feature.name for feature in FEATURES))
    return _Batch(tables, repeated, objects, planter.rows)


def _known(contract: Contract, stars: Stars, designations: pa.Array) -> pa.Table:
    rows = np.flatnonzero(stars.is_known)
    names = [f"SIM {name}" for name in designations.take(pa.array(rows)).to_pylist()]
    values = {
        "object_id": stars.object_id[rows],
        "name": pa.array(names, pa.string()),
        "object_type": pa.array(["Sy*"] * len(rows), pa.string()),
        "source": pa.array(["simulated"] * len(rows), pa.string()),
    }
    return shaped(contract.table("known.objects"), values)


def _counts(made: _Batch) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    objects = made.objects
    flickers = len(objects) - objects["flicker_amplitude_mag"].null_count
    expected, known = (sum(objects[name].to_pylist()) for name in ("expected_in_sample", "is_known_symbiotic"))
    return np.array([expected, flickers, known, len(made.bad_rows)])


class _Writer:
    """Writes tables as files and keeps the list of them."""

    def __init__(self, directory: Path, contract: Contract, formats: dict[str, str], parts: int) -> None:
        self.files: list[SimulatedFile] = []
        self._directory = directory
        self._contract = contract
        self._formats = formats
        self._parts = parts
        self._carried: dict[str, pa.Table] = {}

    def write_parts(self, number: int, tables: dict[str, pa.Table], repeated: dict[str, pa.Table]) -> None:
        """One part of each table; rows sent twice come again in the next part, as at the borders of tiles."""
        last = number + 1 == self._parts
        whole = {}
        for name, table in tables.items():
            pieces = [table, self._carried.pop(name, None), repeated.get(name) if last else None]
            whole[name] = pa.concat_tables([piece for piece in pieces if piece is not None])
        self._carried = repeated
        mark = f".part{number:03d}" if self._parts > 1 else ""
        with ThreadPoolExecutor(2) as pool:
            self.files += pool.map(lambda name: self._write(name, whole[name], mark), whole)

    def write(self, name: str, table: pa.Table) -> None:
        """A table that comes in one file."""
        self.files.append(self._write(name, table, ""))

    def _write(self, name: str, table: pa.Table, mark: str) -> SimulatedFile:
        about = self._contract.table(name)
        form = self._formats[name]
        path = self._directory / f"{name}{mark}{SUFFIX[form]}"
        columns = booleans_as_numbers(about.columns) if form == "fits" else about.columns
        write_table(path, form, table, columns, name=name, description=about.description)
        return SimulatedFile(path, name, table.num_rows, path.stat().st_size)


def _write_images(writer: _Writer, survey: _Survey) -> None:
    columns = image_columns(survey.fields, survey.images, _rng(survey.seed, _SURVEY, 0))
    twice = np.flatnonzero(np.isin(survey.images.image_id, _repeated_images(survey)))
    rows = np.concatenate([np.arange(len(survey.images.image_id)), twice])
    writer.write(survey.release.table("dr2.images"), survey.shaped("dr2.images", columns, rows))


def _image_faults(survey: _Survey) -> list[BadRow]:
    chosen = _repeated_images(survey)
    return [BadRow("image_row_twice", "dr2.images", None, i, 1, "staging.one_per_image") for i in chosen]


def _repeated_images(survey: _Survey) -> list[int]:
    """Images whose row is sent twice: the first u exposures of some sequences."""
    return [sequence.u_image_ids[0] for sequence in survey.sequences if sequence.kind == "plain"][:5]


def _truth_stream(directory: Path, name: str) -> ParquetStream:
    columns = {"objects": truth.OBJECT_COLUMNS, "bad_rows": truth.BAD_ROW_COLUMNS}[name]
    return ParquetStream(directory / TRUTH / f"{name}.parquet", columns, name=f"truth.{name}")


def _write_about(directory: Path, survey: _Survey, formats: dict[str, str], batch: int) -> None:
    """How the sky was made, and every colour sequence as it was taken."""
    sequences = [
        {
            "kind": sequence.kind,
            "field_id": sequence.field_id,
            "night_mjd": sequence.night_mjd,
            "first_image_id": sequence.image_ids[0],
            "filters": sequence.filters,
            "u_image_ids": ";".join(map(str, sequence.u_image_ids)),
        }
        for sequence in survey.sequences
    ]
    with ParquetStream(directory / TRUTH / "sequences.parquet", truth.SEQUENCE_COLUMNS, name="truth.sequences") as out:
        out.write(pa.Table.from_pylist(sequences))
    about = {
        "objects": survey.plan.objects,
        "seed": survey.seed,
        "batch": batch,
        "release": survey.release.name,
        "formats": formats,
        "skysy": __version__,
    }
    (directory / TRUTH / "simulation.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
