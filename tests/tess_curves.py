"""TESS light curves made by hand: known noise, known flickering, in the layouts of the pipelines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """Times [BTJD, d], fluxes [electron/s], QUALITY bits, and the level that flux is relative to."""

    time_btjd: Reals
    flux: Reals
    quality: NDArray[np.int32]
    level: float = 10_000.0

    def changed(self, **what: Any) -> Made:
        """The same with other arrays."""
        return replace(self, **what)


def red_noise(
    n: int, step_s: float, slope: float, band_uhz: tuple[float, float], rms_ppm: float, chance: np.random.Generator
) -> Reals:
    """Gaussian noise whose power density falls as f^-slope above 5 uHz, with this rms [ppm] between the two frequencies.

    It is made in Fourier space on twice the length, so that its ends do not meet. The rms is that of the ensemble.
    """
    whole = 2 * n
    f_uhz = np.fft.rfftfreq(whole, step_s) * 1e6
    density = np.where(f_uhz >= 5, np.maximum(f_uhz, 5.0) ** -slope, 0.0)
    inside = (f_uhz >= band_uhz[0]) & (f_uhz <= band_uhz[1])
    density *= rms_ppm**2 / (np.sum(density[inside]) * (f_uhz[1] - f_uhz[0]))
    size = np.sqrt(density * (f_uhz[1] - f_uhz[0]))
    waves = (chance.normal(0, 1, f_uhz.size) + 1j * chance.normal(0, 1, f_uhz.size)) * size
    return np.asarray(np.fft.irfft(waves * whole / 2, whole)[:n])


def curve(
    seed: int,
    *,
    white_ppm: float = 300.0,
    flicker_ppm: float = 0.0,
    slope: float = 1.5,
    cadence_s: float = 1800.0,
    days: float = 26.0,
    start_btjd: float = 1325.3,
    band_uhz: tuple[float, float] = (50.0, 200.0),
    level: float = 10_000.0,
) -> Made:
    """A sector: white noise of this rms at 1800 s (scaled to the cadence), red noise, and the pause between two orbits.

    The red noise is made at 200 s and averaged over the cadence where that is longer, as an exposure does.
    """
    chance = np.random.default_rng(seed)
    n = int(days * 86400 / cadence_s)
    time = start_btjd + np.arange(n) * cadence_s / 86400
    ppm = chance.normal(0, white_ppm * np.sqrt(1800.0 / cadence_s), n)
    if flicker_ppm:
        parts = max(1, round(cadence_s / 200))
        fine = red_noise(n * parts, cadence_s / parts, slope, band_uhz, flicker_ppm, chance)
        ppm += fine.reshape(n, parts).mean(axis=1)
    pause = np.abs(time - start_btjd - days / 2) < 0.5
    return Made(time[~pause], level * (1 + ppm[~pause] * 1e-6), np.zeros(np.count_nonzero(~pause), np.int32), level)


def write_spoc(path: Path, made: Made, *, sector: int | None = 1, tess_mag: float | None = 10.0, **header: Any) -> Path:
    """A file as SPOC and TESS-SPOC write it: TIME 64 bits, fluxes 32."""
    first = fits.PrimaryHDU()
    first.header.update({"ORIGIN": "NASA/Ames", "TELESCOP": "TESS"} | ({"SECTOR": sector} if sector else {}))
    if tess_mag is not None:
        first.header["TESSMAG"] = tess_mag
    first.header.update(header)
    n = len(made.time_btjd)
    columns = [
        fits.Column("TIME", "D", unit="BJD - 2457000, days", array=made.time_btjd),
        fits.Column("TIMECORR", "E", array=np.zeros(n)),
        fits.Column("CADENCENO", "J", array=np.arange(n)),
        fits.Column("SAP_FLUX", "E", unit="e-/s", array=made.flux),
        fits.Column("SAP_FLUX_ERR", "E", unit="e-/s", array=np.full(n, 3.0)),
        fits.Column("PDCSAP_FLUX", "E", unit="e-/s", array=made.flux),
        fits.Column("PDCSAP_FLUX_ERR", "E", unit="e-/s", array=np.full(n, 3.0)),
        fits.Column("QUALITY", "J", array=made.quality),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")
    table.header.update({"BJDREFI": 2457000, "BJDREFF": 0.0})
    fits.HDUList([first, table]).writeto(path, checksum=True, overwrite=True)
    return path


def write_qlp(path: Path, made: Made, *, sector: int = 27) -> Path:
    """A file as QLP writes it: relative fluxes, those freed of slow change beside them."""
    first = fits.PrimaryHDU()
    first.header.update({"ORIGIN": "MIT/QLP", "SECTOR": sector, "TESSMAG": 11.5})
    n = len(made.time_btjd)
    columns = [
        fits.Column("TIME", "D", unit="BJD - 2457000, days", array=made.time_btjd),
        fits.Column("CADENCENO", "J", array=np.arange(n)),
        fits.Column("SAP_FLUX", "E", array=made.flux / made.level),
        fits.Column("KSPSAP_FLUX", "E", array=np.ones(n)),
        fits.Column("KSPSAP_FLUX_ERR", "E", array=np.full(n, 3e-4)),
        fits.Column("QUALITY", "J", array=made.quality),
    ]
    fits.HDUList([first, fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")]).writeto(path, overwrite=True)
    return path


def write_eleanor(path: Path, made: Made) -> Path:
    """A file as eleanor writes it: no unit, no magnitude, FLUX_ERR that of RAW_FLUX."""
    first = fits.PrimaryHDU()
    first.header.update({"GITHUB": "https://github.com/afeinstein20/eleanor", "SECTOR": 5})
    n = len(made.time_btjd)
    columns = [
        fits.Column("TIME", "D", array=made.time_btjd),
        fits.Column("RAW_FLUX", "E", array=made.flux * 1.1),
        fits.Column("CORR_FLUX", "E", array=made.flux),
        fits.Column("FLUX_ERR", "E", array=np.full(n, 3.0)),
        fits.Column("QUALITY", "I", array=made.quality),
        fits.Column("FFIINDEX", "I", array=np.arange(n)),
    ]
    fits.HDUList([first, fits.BinTableHDU.from_columns(columns)]).writeto(path, overwrite=True)
    return path


def write_csv(path: Path, made: Made, zero: float = 0.0) -> Path:
    """A plain CSV; `zero` is added to the times."""
    lines = ["# made by hand", "time,flux,flux_err"]
    lines += [f"{t + zero:.7f},{f:.4f}," for t, f in zip(made.time_btjd, made.flux, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
