-- int_flickering__spectra: power density spectra of TESS light curves.
--
-- grain:  one row per object_id, sector and frequency
-- key:    object_id, sector, k
-- scope:  object
-- inputs: int_flickering__bins
-- source: discrete Fourier transform at the times themselves (Deeming 1975, Ap&SS 36, 137), one-sided, in ppm^2/uHz:
--         P(f) = 2 dt / N |sum_j x_j exp(-2 pi i f t_j)|^2, of N residuals x_j a bin dt apart. So the integral over all frequencies up to
--         Nyquist is the variance of the residuals (Parseval), and white noise of variance s^2 has P = 2 dt s^2, gaps or not
-- nulls:  what spans more than tess_span_d_max is no sector and has no rows
-- rule:   frequencies are the multiples of 1 / (time spanned) up to 1 / (2 dt). Sums are made in whole numbers of 1e-6 ppm

WITH used AS (
    SELECT object_id, sector, time_d, residual_ppm, bin_s
    FROM int_flickering__bins
    WHERE residual_ppm IS NOT NULL
),

spans AS (
    SELECT
        object_id, sector, count(*) AS n, max(bin_s) AS bin_s,
        (max(time_d) - min(time_d)) * 86400e0 + max(bin_s) AS span_s
    FROM used
    GROUP BY object_id, sector
),

frequencies AS (
    SELECT object_id, sector, n, bin_s, span_s, unnest(generate_series(1, CAST(floor(span_s / (2 * bin_s) + 1e-6) AS BIGINT))) AS k
    FROM spans
    WHERE span_s <= getvariable('tess_span_d_max') * 86400e0
),

sums AS (
    SELECT
        f.object_id, f.sector, f.k, f.n, f.bin_s, f.span_s,
        CAST(sum(CAST(round(u.residual_ppm * cos(2 * pi() * f.k * u.time_d * 86400e0 / f.span_s) * 1e6) AS BIGINT)) AS DOUBLE) / 1e6 AS re,
        CAST(sum(CAST(round(u.residual_ppm * sin(2 * pi() * f.k * u.time_d * 86400e0 / f.span_s) * 1e6) AS BIGINT)) AS DOUBLE) / 1e6 AS im
    FROM frequencies AS f
    JOIN used AS u ON f.object_id = u.object_id AND f.sector = u.sector
    GROUP BY f.object_id, f.sector, f.k, f.n, f.bin_s, f.span_s
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                             -- object {meta.id;meta.main}
    CAST(sector AS INTEGER) AS sector,                                                  -- TESS sector {meta.id;obs}
    CAST(k AS INTEGER) AS k,                                                            -- number of the frequency, in units of 1 / (time spanned) {meta.id}
    CAST(1e6 * k / span_s AS DOUBLE) AS frequency_uhz,                                  -- frequency [uHz] {em.freq}
    CAST(2 * bin_s * 1e-6 / n * (re * re + im * im) AS DOUBLE) AS power_ppm2_uhz        -- power density, ppm^2 per uHz [uHz**-1] {spect;stat.fourier}
FROM sums
