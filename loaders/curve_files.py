"""TESS light curves from their files: the FITS layouts of the known pipelines, and a plain CSV.

A FITS light curve is its first binary table, with TIME and one of FLUX_COLUMNS (TESS Science Data Products Description
Document, section 5; QLP: Huang et al. 2020, RNAAS 4, 204; eleanor: Feinstein et al. 2019, PASP 131, 094502). Times are
BJD(TDB) - 2457000 in days, "BTJD"; a header that names another zero point (BJDREFI, BJDREFF) is obeyed.
"""

from __future__ import annotations

import csv
import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from skysy.loaders.fits import first_table

from skysy.errors import ContractError, FileDamaged, UsageError, ValueDamaged

BTJD_ZERO = 2_457_000.0
"""Julian date of time 0 in TESS light curves [d]."""

FLUX_COLUMNS = ("PDCSAP_FLUX", "SYS_RM_FLUX", "SAP_FLUX", "CORR_FLUX", "FLUX_CORR", "FLUX", "RAW_FLUX")
"""Columns that flux is taken from, the first that a file has. Fluxes freed of slow change by a filter (KSPSAP_FLUX, DET_FLUX of
QLP) have lost flickering too, so they are taken only where asked for."""

_ERRORS = {
    "CORR_FLUX": (),
    "SAP_FLUX": ("SAP_FLUX_ERR", "KSPSAP_FLUX_ERR", "DET_FLUX_ERR"),
    "SYS_RM_FLUX": ("DET_FLUX_ERR",),
}
"""Columns that hold the error of a flux, where that is not its name and _ERR; eleanor's FLUX_ERR is that of RAW_FLUX."""

LONGEST_D = 40.0
"""A sector has 27 days, the longest 32; what spans more is several, and would be taken for one."""

_TIMES = ("time_btjd", "btjd", "time")
_DAYS = (1000.0, 20_000.0)
"""BTJD of anything TESS can have seen: the first sector began in 1325."""

_KEPT = "Nothing of it was kept."


@dataclass(frozen=True)
class LightCurve:
    """A file's points: times [BTJD, d], fluxes and errors (NaN where missing), QUALITY bits; and what its header tells.

    `sector`, `tess_mag` [mag], `flux_share` (0 to 1) and the position [deg] are None where the file does not tell them.
    """

    format: str
    time_btjd: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    quality: NDArray[np.int32] | None
    flux_column: str
    flux_unit: str
    pipeline: str
    sector: int | None = None
    tess_mag: float | None = None
    flux_share: float | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None

    def table(self, object_id: int, sector: int, *, tess_mag: float | None, is_comparison: bool) -> pa.Table:
        """The rows of tess.light_curve, in the order of the file."""
        n = len(self.time_btjd)

        def every(value: object, kind: pa.DataType) -> pa.Array:
            return pa.array([value] * n, kind)

        return pa.table(
            {
                "object_id": every(object_id, pa.int64()),
                "sector": every(sector, pa.int32()),
                "time_btjd": pa.array(self.time_btjd),
                "flux": pa.array(self.flux),
                "flux_err": pa.array(self.flux_err),
                "quality": every(None, pa.int32()) if self.quality is None else pa.array(self.quality),
                "flux_column": every(self.flux_column, pa.string()),
                "flux_unit": every(self.flux_unit, pa.string()),
                "tess_mag": every(self.tess_mag if tess_mag is None else tess_mag, pa.float64()),
                "flux_share": every(self.flux_share, pa.float64()),
                "pipeline": every(self.pipeline, pa.string()),
                "is_comparison": every(is_comparison, pa.bool_()),
            }
        )


def read_light_curve(path: Path, flux_column: str | None = None) -> LightCurve:
    """The light curve in a FITS file (also packed with gzip) or a CSV; `flux_column` asks for another flux than the usual one.

    Raises FileDamaged for a file that is cut or is neither, ContractError naming file, HDU and column where a column is missing
    or of a type that cannot hold it, ValueDamaged where a value cannot be.
    """
    name = path.name.lower()
    try:
        if name.endswith((".fits", ".fit", ".fits.gz")):
            found = _from_fits(path, flux_column)
        elif name.endswith(".csv"):
            found = _from_csv(path, flux_column or "flux")
        else:
            raise UsageError(f"{path.name} is neither .fits nor .csv.", "Give it the ending that says what it is.")
    except OSError as error:
        raise FileDamaged(f"{path.name} cannot be read: {error.strerror or error}.", _KEPT) from error
    _check(path.name, found)
    return found


def _from_fits(path: Path, asked: str | None) -> LightCurve:
    with ExitStack() as held:
        hdus, hdu = first_table(path, held)
        where = f"{path.name}, HDU {hdus.index_of(hdu)} ({hdu.name or 'unnamed'})"
        header = {**hdus[0].header, **hdu.header}
        columns = {column.name.upper(): column.name for column in hdu.columns}
        if "TIME" not in columns:
            raise _missing(where, "TIME", columns)
        flux_column = asked.upper() if asked else next((one for one in FLUX_COLUMNS if one in columns), None)
        if flux_column is None or flux_column not in columns:
            raise _missing(where, flux_column or ", ".join(FLUX_COLUMNS), columns)
        time = hdu.data[columns["TIME"]]
        if np.asarray(time).dtype.itemsize < 8:
            raise ContractError(
                f"{where}, column TIME: a 32-bit float is too coarse for a time; minutes are lost.", _KEPT
            )
        zero = float(header.get("BJDREFI", BTJD_ZERO)) + float(header.get("BJDREFF", 0.0))
        error = next((one for one in _ERRORS.get(flux_column, (f"{flux_column}_ERR",)) if one in columns), None)
        n = len(hdu.data)
        quality = (
            _bits(where, "QUALITY", _reals(where, "QUALITY", hdu.data[columns["QUALITY"]]))
            if "QUALITY" in columns
            else None
        )
        unit = str(hdu.columns[columns[flux_column]].unit or "").lower()
        pipeline = _pipeline(header)
        return LightCurve(
            format="fits",
            time_btjd=_reals(where, "TIME", time) + (zero - BTJD_ZERO),
            flux=_reals(where, flux_column, hdu.data[columns[flux_column]]),
            flux_err=np.full(n, math.nan) if error is None else _reals(where, error, hdu.data[columns[error]]),
            quality=quality,
            flux_column=flux_column,
            flux_unit="electron/s"
            if unit in ("e-/s", "electron/s", "electron / s") or pipeline == "eleanor"
            else "relative",
            pipeline=pipeline,
            sector=_whole(header.get("SECTOR")),
            tess_mag=_real(header.get("TESSMAG", header.get("TMAG"))),
            flux_share=_real(header.get("CROWDSAP")),
            ra_deg=_real(header.get("RA_OBJ")),
            dec_deg=_real(header.get("DEC_OBJ")),
        )
    raise AssertionError("not reached")


def _missing(where: str, wanted: str, columns: dict[str, str]) -> ContractError:
    return ContractError(
        f"{where}: there is no column {wanted}. It has {', '.join(columns)}.",
        f"{_KEPT} If this is a light curve, name its flux with --flux-column.",
    )


def _reals(where: str, name: str, values: Any) -> NDArray[np.float64]:
    found = np.asarray(values)
    if found.dtype.kind not in "fiu" or found.ndim != 1:
        raise ContractError(f"{where}, column {name}: not one number a row.", _KEPT)
    return np.ascontiguousarray(found, dtype=np.float64)


def _bits(where: str, name: str, values: NDArray[np.float64]) -> NDArray[np.int32]:
    """Quality bits; a missing value has none of them set."""
    known = np.where(np.isnan(values), 0.0, values)
    wrong = known[(np.abs(known) >= 2.0**31) | (known != np.floor(known))]
    if len(wrong):
        raise ValueDamaged(f"{where}, column {name}: {wrong[0]:g} is no set of bits in 32.", _KEPT)
    return known.astype(np.int32)


def _pipeline(header: dict[str, Any]) -> str:
    origin = str(header.get("ORIGIN", "")).strip()
    if "qlp" in origin.lower():
        return "QLP"
    if "eleanor" in str(header.get("GITHUB", "")).lower():
        return "eleanor"
    if origin == "NASA/Ames":
        return "SPOC"
    return origin or "unknown"


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and float(value).is_integer() and value > 0 else None


def _from_csv(path: Path, flux_column: str) -> LightCurve:
    """A CSV with a header: time (BTJD or BJD), the flux, and if there are any flux_err and quality; # begins a comment."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    try:
        rows = list(csv.reader(line for _, line in lines))
    except csv.Error as error:
        raise FileDamaged(f"{path.name} is no CSV: {error}.", _KEPT) from error
    if len(rows) != len(lines):
        raise FileDamaged(f"{path.name}: a quoted field goes on over the end of its line; numbers do not.", _KEPT)
    head = [name.strip().lower() for name in rows[0]] if rows else []
    time = next((one for one in _TIMES if one in head), None)
    if time is None or flux_column.lower() not in head:
        raise ContractError(
            f"{path.name}: a light curve needs the columns time and {flux_column}; it has {', '.join(head) or 'none'}.",
            _KEPT,
        )
    numbers: dict[str, list[float]] = {
        name: [] for name in (time, flux_column.lower(), "flux_err", "quality") if name in head
    }
    for (line, _), row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(head):
            raise FileDamaged(f"{path.name}, line {line}: {len(row)} fields, not {len(head)}.", _KEPT)
        for name, values in numbers.items():
            values.append(_number(path.name, line, name, row[head.index(name)].strip()))
    time_d = np.array(numbers[time])
    n = len(time_d)
    if n and np.nanmin(time_d, initial=math.inf) > BTJD_ZERO / 2:
        time_d = time_d - BTJD_ZERO
    quality = _bits(path.name, "quality", np.array(numbers["quality"])) if "quality" in numbers else None
    return LightCurve(
        format="csv",
        time_btjd=time_d,
        flux=np.array(numbers[flux_column.lower()]),
        flux_err=np.array(numbers["flux_err"]) if "flux_err" in numbers else np.full(n, math.nan),
        quality=quality,
        flux_column=flux_column,
        flux_unit="relative",
        pipeline="CSV",
    )


def _number(file: str, line: int, column: str, text: str) -> float:
    if text.lower() in ("", "nan", "null"):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise ValueDamaged(f"{file}, line {line}, column {column}: {text!r} is no number.", _KEPT) from None


def _check(file: str, curve: LightCurve) -> None:
    """What no light curve of TESS is."""
    good = np.isfinite(curve.time_btjd) & np.isfinite(curve.flux)
    if np.count_nonzero(good) < 2:
        raise ValueDamaged(
            f"{file}, column {curve.flux_column}: {np.count_nonzero(good)} of {len(good)} points have a time and a flux.",
            f"{_KEPT} Another column may have them: --flux-column SAP_FLUX.",
        )
    low, high = curve.time_btjd[good].min(), curve.time_btjd[good].max()
    if high - low > LONGEST_D:
        raise ValueDamaged(
            f"{file}, column TIME: it spans {high - low:,.0f} days; a sector has 27.",
            f"{_KEPT} Give a file for each sector.",
        )
    if low < _DAYS[0] or high > _DAYS[1]:
        raise ValueDamaged(
            f"{file}, column TIME: {low:.3f} to {high:.3f} d is neither BTJD (BJD - 2457000) nor BJD of a TESS sector.",
            _KEPT,
        )
