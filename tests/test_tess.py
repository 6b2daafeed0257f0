"""Flickering in TESS light curves: what is put into a light curve comes out, and what is none leaves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from skysy.loaders.curve_files import read_light_curve
from tess_bench import Bench
from tess_curves import Made, curve, red_noise

BAND, NOISE = (50.0, 200.0), (230.0, 270.0)
MEASURES = "SELECT object_id, sector, n_bins, rms_ppm, white_ppm2_uhz, flicker_var_ppm2, flicker_var_err_ppm2 FROM int_flickering__sectors ORDER BY ALL"


def expected_variance(rms_ppm: float, slope: float, bin_s: float = 1800.0) -> float:
    """What the measure is of noise as f^-slope, made up to 2500 uHz: bins average it, and fold what is above Nyquist back."""
    inside = np.linspace(*BAND, 4001)
    level = rms_ppm**2 / np.trapezoid(inside**-slope, inside)

    def seen(f: np.ndarray) -> np.ndarray:
        folded = [np.abs(f + turn * 1e6 / bin_s) for turn in range(-5, 6)]
        return sum(np.where(one <= 2500, level * one**-slope * np.sinc(one * bin_s * 1e-6) ** 2, 0.0) for one in folded)

    taken = np.mean(seen(np.linspace(*NOISE, 1001)))
    return float(np.trapezoid((seen(inside) - taken) / np.sinc(inside * bin_s * 1e-6) ** 2, inside))


@pytest.mark.parametrize(("cadence_s", "slope", "n"), [(1800.0, 1.5, 20), (200.0, 2.0, 4)])
def test_flickering_that_was_put_in_is_recovered_within_its_errors(cadence_s: float, slope: float, n: int) -> None:
    curves = {(seed, 1): curve(seed, cadence_s=cadence_s, flicker_ppm=1000, slope=slope) for seed in range(n)}
    found = Bench(curves, threads=2).columns(MEASURES)
    expected = expected_variance(1000.0, slope)
    error = np.sqrt(np.sum(found["flicker_var_err_ppm2"] ** 2)) / n
    assert abs(found["flicker_var_ppm2"].mean() - expected) < 3 * error + 0.02 * expected  # the trend takes some
    assert error < 0.06 * expected
    assert expected == pytest.approx({1.5: 0.78, 2.0: 0.88}[slope] * 1000**2, rel=0.02)  # the page says so


def test_the_noise_that_tests_put_in_has_the_rms_that_they_say() -> None:
    chance = np.random.default_rng(5)
    got = []
    for _ in range(20):
        x = red_noise(1024, 200.0, 1.5, BAND, 500.0, chance)
        f = np.fft.rfftfreq(1024, 200.0) * 1e6
        power = 2 * np.abs(np.fft.rfft(x * np.hanning(1024)) / 1024) ** 2 / np.mean(np.hanning(1024) ** 2)
        got.append(np.sum(power[(f >= BAND[0]) & (f <= BAND[1])]))
    assert np.sqrt(np.mean(got)) == pytest.approx(500.0, rel=0.1)


@pytest.fixture(scope="module")
def whole() -> Bench:
    """One sector of 10 days without a gap."""
    made = curve(3, days=10, flicker_ppm=400)
    time = 1325.3 + np.arange(480) / 48
    flux = np.interp(time, made.time_btjd, made.flux)
    return Bench({(6_900_000_000_000_000_001, 1): Made(time, flux, np.zeros(480, np.int32))})


def test_the_spectrum_is_that_of_a_plain_fourier_transform_and_its_integral_the_variance(whole: Bench) -> None:
    bins = whole.columns("SELECT time_d, residual_ppm FROM int_flickering__bins ORDER BY bin")
    x, n, dt = bins["residual_ppm"].astype(float), 480, 1800e-6
    found = whole.columns("SELECT frequency_uhz, power_ppm2_uhz FROM int_flickering__spectra ORDER BY k")
    assert len(x) == n
    np.testing.assert_allclose(found["frequency_uhz"], np.fft.rfftfreq(n, dt)[1:], rtol=1e-6)
    plain = 2 * dt / n * np.abs(np.fft.rfft(x)) ** 2
    np.testing.assert_allclose(found["power_ppm2_uhz"], plain[1:], rtol=2e-3, atol=1e-2 * plain.mean())
    at_nyquist = np.ones(n // 2)
    at_nyquist[-1] = 0.5  # it has no partner of negative frequency
    total = np.sum(found["power_ppm2_uhz"] * at_nyquist) / (n * dt) + x.mean() ** 2
    assert total == pytest.approx(np.mean(x**2), rel=1e-3)
    assert whole.rows("SELECT DISTINCT object_id FROM int_flickering__sectors") == [(6_900_000_000_000_000_001,)]


def test_with_gaps_the_spectrum_is_that_of_lomb_and_scargle() -> None:
    bench = Bench({(1, 1): curve(4, days=16, flicker_ppm=400)})
    bins = bench.columns(
        "SELECT time_d, residual_ppm FROM int_flickering__bins WHERE residual_ppm IS NOT NULL ORDER BY bin"
    )
    found = bench.columns(
        "SELECT frequency_uhz AS f, power_ppm2_uhz AS p FROM int_flickering__spectra WHERE frequency_uhz < 260 ORDER BY k"
    )
    scargle = LombScargle(bins["time_d"], bins["residual_ppm"], fit_mean=False, center_data=False)
    power = 2 * 1800e-6 * scargle.power(found["f"] * 0.0864, normalization="psd", method="slow")
    inside = (found["f"] > 50) & (found["f"] < 200)
    assert found["p"][inside].mean() == pytest.approx(power[inside].mean(), rel=0.02)
    assert np.corrcoef(found["p"], power)[0, 1] > 0.99


def test_white_noise_alone_shows_no_flickering_more_often_than_it_should() -> None:
    n = 80
    bench = Bench({(seed, 1): curve(500 + seed, days=10) for seed in range(n)}, threads=2)
    found = bench.columns("SELECT * FROM int_flickering__sectors")
    assert found["white_ppm2_uhz"].mean() == pytest.approx(2 * 1800e-6 * 300.0**2, rel=0.03)
    assert found["band_to_white"].mean() == pytest.approx(1.0, abs=0.08)
    above = found["flicker_var_ppm2"] / found["flicker_var_err_ppm2"]
    assert np.mean(above > 1) == pytest.approx(0.16, abs=0.12)
    assert np.mean(above > 3) <= 0.03
    assert above.std() == pytest.approx(1.0, abs=0.2)


def dumped(made: Made, jump: float) -> Made:
    """With a momentum dump every 2.5 days, at whose point the flux is absurd; the level is higher by `jump` after every other."""
    number = np.floor((made.time_btjd - made.time_btjd[0]) / 2.5).astype(int)
    at = np.flatnonzero(np.diff(number, prepend=0))
    flux = made.flux * np.where(number % 2 == 1, 1 + jump, 1.0)
    flux[at] *= 3
    quality = made.quality.copy()
    quality[at] = 32
    return made.changed(flux=flux, quality=quality)


def test_jumps_at_momentum_dumps_and_a_slow_change_leave_the_measure_as_it_is() -> None:
    made = dumped(curve(7, flicker_ppm=500, days=16), 0.0)
    slow = 1 + 0.02 * np.sin(2 * np.pi * (made.time_btjd - 1325) / 9.0)
    bench = Bench(
        {
            (1, 1): made,
            (2, 1): dumped(curve(7, flicker_ppm=500, days=16), 0.03),
            (3, 1): made.changed(flux=made.flux * slow),
        }
    )
    (_, _, n, *_, plain, error), jumped, changed = bench.rows(MEASURES)
    assert n > 650
    for other in (jumped, changed):
        assert other[2] == pytest.approx(n, abs=2)
        assert abs(other[5] - plain) < 0.5 * error
    assert bench.rows("SELECT count(DISTINCT segment) FROM int_flickering__bins WHERE object_id = 2") == [(7,)]


def test_a_jump_that_no_flag_tells_would_be_seen() -> None:
    made = dumped(curve(7, flicker_ppm=0, days=16), 0.03)
    bench = Bench({(1, 1): made}, "tess_quality_breaks=0")
    assert all(row[5] > 5 * row[6] for row in bench.rows(MEASURES))


def test_order_of_rows_missing_and_refused_points_other_sectors_and_threads_change_no_bit() -> None:
    made = curve(9, flicker_ppm=500, days=12)
    chance = np.random.default_rng(1)
    n = len(made.flux)
    order = chance.permutation(n)
    shuffled = Made(made.time_btjd[order], made.flux[order], made.quality[order])
    between = made.time_btjd[:-1][::7] + 0.25 / 48
    bad = np.full(len(between), 4096, np.int32)
    more = Made(
        np.concatenate([made.time_btjd, between, between, [np.nan]]),
        np.concatenate([made.flux, np.full(len(between), np.nan), np.full(len(between), 9e9), [1.0]]),
        np.concatenate([made.quality, 0 * bad, bad, [0]]).astype(np.int32),
    )
    plain = Bench({(1, 1): made}).rows(MEASURES)
    assert Bench({(1, 1): shuffled}).rows(MEASURES) == plain
    assert Bench({(1, 1): more}).rows(MEASURES) == plain
    later = made.changed(time_btjd=made.time_btjd + 27.4)
    both = Bench({(1, 1): made, (1, 2): later, (2, 1): curve(10, days=12)}, threads=4)
    assert both.rows(MEASURES)[:1] == plain
    assert both.rows(MEASURES)[1][5] == pytest.approx(plain[0][5], rel=1e-3)
    tables = ("int_flickering__bins", "int_flickering__spectra", "int_flickering__sectors")
    again = Bench({(1, 1): made, (1, 2): later, (2, 1): curve(10, days=12)}, threads=1)
    for table in tables:
        assert again.rows(f"FROM {table} ORDER BY ALL") == both.rows(f"FROM {table} ORDER BY ALL"), table


def test_half_of_the_points_missing_at_random_costs_error_and_no_bias() -> None:
    made = curve(11, flicker_ppm=1000, slope=2.0)
    kept = np.random.default_rng(2).random(len(made.flux)) < 0.7
    thin = Made(made.time_btjd[kept], made.flux[kept], made.quality[kept])
    full, few = Bench({(1, 1): made, (2, 1): thin}).rows(MEASURES)
    assert few[2] == np.count_nonzero(kept)
    assert abs(few[5] - full[5]) < 3 * few[6]
    assert few[6] > full[6]


def test_the_light_curve_of_the_page_is_the_one_that_it_says() -> None:
    made = curve(100, days=8, white_ppm=200, flicker_ppm=400)
    told = read_light_curve(Path(__file__).parents[1] / "docs" / "tess" / "candidate.csv")
    np.testing.assert_allclose(told.time_btjd, made.time_btjd, atol=1e-6)
    np.testing.assert_allclose(told.flux, made.flux / made.level, atol=1e-6)
