-- int_flickering__sectors: what the power spectrum of one sector says of flickering, before it is held against other stars.
--
-- grain:  one row per object_id and sector that has a light curve
-- key:    object_id, sector
-- scope:  object
-- inputs: stg_tess__light_curve, int_flickering__bins, int_flickering__spectra
-- source: power above white noise in a band, as band power of granulation is measured (Mathur et al. 2011, ApJ 741, 119; FliPer of Bugnet et
--         al. 2018, A&A 620, A38, subtracts white noise in the same way). Averaging over a bin dt takes signals, not noise, down by sinc^2(f dt)
--         (Chaplin et al. 2011, ApJ 732, 54), which is put right. The power of one frequency scatters as an exponential
--         distribution: its variance is its square, estimated as half the square of what is seen
-- nulls:  no measure where fewer than tess_bins_min bins are left, or they span more than a sector, or are so long that band or noise lie beyond Nyquist
-- rule:   white noise is the mean power density of tess_noise_uhz. Band variance = width of the band / n * sum of (P - white) / sinc^2 over its n
--         frequencies; it may be below zero, since noise is subtracted. Neighbouring frequencies of a light curve with gaps are not
--         independent, so the variance of the error is divided by the share of time that has bins. Sums are made in whole numbers

WITH files AS (
    SELECT
        object_id, sector, count(*) AS n_points, count(flux) AS n_fluxes,
        count(CASE WHEN flux IS NOT NULL AND quality & getvariable('tess_quality_refused') <> 0 THEN 1 END) AS n_refused,
        median(flux) FILTER (WHERE flux IS NOT NULL AND quality & getvariable('tess_quality_refused') = 0) AS median_flux,
        max(flux_column) AS flux_column, max(flux_unit) AS flux_unit, max(tess_mag) AS tess_mag, min(flux_share) AS flux_share,
        max(pipeline) AS pipeline, bool_or(is_comparison) AS is_comparison
    FROM stg_tess__light_curve
    GROUP BY object_id, sector
),

curves AS (
    SELECT
        object_id, sector, count(residual_ppm) AS n_bins, count(*) - count(residual_ppm) AS n_clipped, max(cadence_s) AS cadence_s,
        max(bin_s) AS bin_s, count(DISTINCT segment) AS n_segments,
        max(time_d) FILTER (WHERE residual_ppm IS NOT NULL) - min(time_d) FILTER (WHERE residual_ppm IS NOT NULL) + max(bin_s) / 86400e0 AS span_d,
        sqrt(CAST(sum(CAST(round(residual_ppm * residual_ppm * 1e6) AS HUGEINT)) AS DOUBLE) / 1e6 / nullif(count(residual_ppm), 0)) AS rms_ppm
    FROM int_flickering__bins
    GROUP BY object_id, sector
),

powers AS (
    SELECT
        s.object_id, s.sector, s.power_ppm2_uhz AS p,
        (sin(pi() * s.frequency_uhz * c.bin_s * 1e-6) / (pi() * s.frequency_uhz * c.bin_s * 1e-6)) ** 2 AS smearing,
        s.frequency_uhz >= getvariable('tess_band_uhz')[1] AND s.frequency_uhz <= getvariable('tess_band_uhz')[2] AS in_band,
        s.frequency_uhz >= getvariable('tess_noise_uhz')[1] AND s.frequency_uhz <= getvariable('tess_noise_uhz')[2] AS in_noise
    FROM int_flickering__spectra AS s
    JOIN curves AS c ON s.object_id = c.object_id AND s.sector = c.sector
    WHERE c.n_bins >= getvariable('tess_bins_min')
      AND c.bin_s * getvariable('tess_noise_uhz')[2] <= 5e5
),

sums AS (
    SELECT
        object_id, sector, count(*) FILTER (WHERE in_band) AS n_band, count(*) FILTER (WHERE in_noise) AS n_noise,
        CAST(sum(CAST(round(p * 1e12) AS HUGEINT)) FILTER (WHERE in_band) AS DOUBLE) / 1e12 AS band_p,
        CAST(sum(CAST(round(p / smearing * 1e12) AS HUGEINT)) FILTER (WHERE in_band) AS DOUBLE) / 1e12 AS band_corrected,
        CAST(sum(CAST(round(p * p / (smearing * smearing) * 1e6) AS HUGEINT)) FILTER (WHERE in_band) AS DOUBLE) / 1e6 AS band_corrected2,
        CAST(sum(CAST(round(1 / smearing * 1e12) AS HUGEINT)) FILTER (WHERE in_band) AS DOUBLE) / 1e12 AS band_weight,
        CAST(sum(CAST(round(p * 1e12) AS HUGEINT)) FILTER (WHERE in_noise) AS DOUBLE) / 1e12 AS noise_p,
        CAST(sum(CAST(round(p * p * 1e6) AS HUGEINT)) FILTER (WHERE in_noise) AS DOUBLE) / 1e6 AS noise_p2
    FROM powers
    GROUP BY object_id, sector
),

measured AS (
    SELECT
        *, noise_p / n_noise AS white,
        (getvariable('tess_band_uhz')[2] - getvariable('tess_band_uhz')[1]) / CAST(n_band AS DOUBLE) AS step_uhz
    FROM sums
    WHERE n_band > 0
      AND n_noise > 0
)

SELECT
    CAST(f.object_id AS BIGINT) AS object_id,                               -- object {meta.id;meta.main}
    CAST(f.sector AS INTEGER) AS sector,                                    -- TESS sector {meta.id;obs}
    CAST(f.pipeline AS VARCHAR) AS pipeline,                                -- who made the light curve {meta.id;meta.software}
    CAST(f.flux_column AS VARCHAR) AS flux_column,                          -- column of its file that flux is from {meta.id}
    CAST(f.is_comparison AS BOOLEAN) AS is_comparison,                      -- given as a comparison giant {meta.code}
    CAST(coalesce(
        f.tess_mag,
        CASE WHEN f.flux_unit = 'electron/s' AND f.median_flux > 0 THEN getvariable('tess_zero_point_mag') - 2.5e0 * log10(f.median_flux) END
    ) AS DOUBLE) AS tess_mag,                                               -- TESS magnitude, as told or else from the median flux in electron/s [mag] {phot.mag;em.opt.I}
    CAST(f.flux_share AS DOUBLE) AS flux_share,                             -- share of the star in the flux of its aperture {stat.value}
    CAST(f.n_points AS INTEGER) AS n_points,                                -- points with a time {meta.number}
    CAST(f.n_points - f.n_fluxes AS INTEGER) AS n_missing,                  -- of them without a flux {meta.number}
    CAST(f.n_refused AS INTEGER) AS n_refused,                              -- of them with a flux and a refused quality bit {meta.number}
    CAST(coalesce(c.n_bins, 0) AS INTEGER) AS n_bins,                       -- bins that count {meta.number}
    CAST(coalesce(c.n_clipped, 0) AS INTEGER) AS n_clipped,                 -- bins clipped as outliers {meta.number}
    CAST(coalesce(c.n_segments, 0) AS INTEGER) AS n_segments,               -- segments with a trend of their own {meta.number}
    CAST(c.cadence_s AS DOUBLE) AS cadence_s,                               -- distance of the file's points [s] {time.interval}
    CAST(c.bin_s AS DOUBLE) AS bin_s,                                       -- length of a bin [s] {time.interval}
    CAST(c.span_d AS DOUBLE) AS span_d,                                     -- time spanned by the bins [d] {time.duration}
    CAST(c.rms_ppm AS DOUBLE) AS rms_ppm,                                   -- rms of the bins without trend, in millionths {stat.stdev;phot.flux}
    CAST(m.white AS DOUBLE) AS white_ppm2_uhz,                              -- power density of white noise, ppm^2 per uHz [uHz**-1] {stat.fourier;instr.det.noise}
    CAST(m.band_p / m.n_band AS DOUBLE) AS band_ppm2_uhz,                   -- mean power density in the band, noise included, ppm^2 per uHz [uHz**-1] {stat.fourier}
    CAST(m.band_p / m.n_band / nullif(m.white, 0) AS DOUBLE) AS band_to_white, -- the same over white noise: 1 where nothing but white noise is {stat.fourier;arith.ratio}
    CAST(m.step_uhz * (m.band_corrected - m.white * m.band_weight) AS DOUBLE) AS flicker_var_ppm2, -- variance in the band above white noise, in 1e-12 {stat.variance;src.var}
    CAST(m.step_uhz * sqrt(
        (m.band_corrected2 / 2 + m.band_weight * m.band_weight * m.noise_p2 / 2 / (m.n_noise * m.n_noise))
        / least(1, c.n_bins * c.bin_s / 86400e0 / c.span_d)
    ) AS DOUBLE) AS flicker_var_err_ppm2,                                   -- its error, of the scatter of powers alone, in 1e-12 {stat.error;stat.variance;src.var}
    CAST(CASE WHEN m.step_uhz IS NOT NULL THEN sqrt(greatest(m.step_uhz * (m.band_corrected - m.white * m.band_weight), 0)) END AS DOUBLE) AS flicker_rms_ppm -- rms of change in the band above white noise, in millionths; 0 where the variance is below zero {stat.stdev;src.var}
FROM files AS f
LEFT JOIN curves AS c ON f.object_id = c.object_id AND f.sector = c.sector
LEFT JOIN measured AS m ON f.object_id = m.object_id AND f.sector = m.sector
