-- flickering: flickering in TESS light curves, held against giants as bright.
--
-- grain:  one row per object_id and sector that has a light curve
-- key:    object_id, sector
-- inputs: int_flickering__sectors, sample, candidates, stg_known__objects, stg_survey__master
-- source: a plain comparison of power spectra; NOT the method of Merc et al. 2024 (A&A 683, A84, arXiv:2312.16126), which measures symbiotic
--         stars and single giants on light curves of one making and has the same end: giants change at these frequencies too, by
--         granulation and oscillations, so only more than other giants show is a sign of accretion
-- nulls:  comparison columns are NULL where fewer than tess_compare_stars giants as bright are there; `comparison` says why
-- rule:   comparison giants are the light curves given as such, and those of objects of the sample that are neither candidates nor known
--         objects. A giant with several sectors counts once, with the median of its variances. The star itself is never among them.
--         p_rank is the share of giants, the star counted, whose variance is as great or greater: no probability of accretion

WITH roles AS (
    SELECT
        f.*,
        CASE
            WHEN f.is_comparison THEN 'comparison'
            WHEN c.object_id IS NOT NULL THEN 'candidate'
            WHEN k.object_id IS NOT NULL THEN 'known'
            WHEN s.object_id IS NOT NULL THEN 'quiet giant'
            ELSE 'other'
        END AS role
    FROM int_flickering__sectors AS f
    LEFT JOIN sample AS s ON f.object_id = s.object_id
    LEFT JOIN candidates AS c ON f.object_id = c.object_id
    LEFT JOIN stg_known__objects AS k ON f.object_id = k.object_id
),

giants AS (
    SELECT object_id, median(tess_mag) AS tess_mag, median(flicker_var_ppm2) AS var_ppm2
    FROM roles
    WHERE role IN ('comparison', 'quiet giant')
      AND tess_mag IS NOT NULL
      AND flicker_var_ppm2 IS NOT NULL
    GROUP BY object_id
),

compared AS (
    SELECT
        r.object_id, r.sector, count(g.object_id) AS n_giants, median(g.var_ppm2) AS median_var,
        count(CASE WHEN g.var_ppm2 >= r.flicker_var_ppm2 THEN 1 END) AS n_greater
    FROM roles AS r
    LEFT JOIN giants AS g
        ON abs(r.tess_mag - g.tess_mag) <= getvariable('tess_compare_mag')
        AND r.object_id <> g.object_id
    GROUP BY r.object_id, r.sector
),

judged AS (
    SELECT
        r.*, c.n_giants, c.median_var, c.n_greater, m.prox,
        r.flicker_var_ppm2 IS NOT NULL AND c.n_giants >= getvariable('tess_compare_stars') AS is_compared
    FROM roles AS r
    JOIN compared AS c ON r.object_id = c.object_id AND r.sector = c.sector
    LEFT JOIN stg_survey__master AS m ON r.object_id = m.object_id
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                 -- object {meta.id;meta.main}
    CAST(sector AS INTEGER) AS sector,                                      -- TESS sector {meta.id;obs}
    CAST('power spectrum against giants as bright; not the method of Merc et al. 2024' AS VARCHAR) AS method, -- what was done {meta.note}
    CAST(role AS VARCHAR) AS role,                                          -- candidate, known, comparison, quiet giant of the sample, or other {meta.code.class}
    CAST(pipeline AS VARCHAR) AS pipeline,                                  -- who made the light curve {meta.id;meta.software}
    CAST(flux_column AS VARCHAR) AS flux_column,                            -- column of its file that flux is from {meta.id}
    CAST(tess_mag AS DOUBLE) AS tess_mag,                                   -- TESS magnitude [mag] {phot.mag;em.opt.I}
    CAST(n_bins AS INTEGER) AS n_bins,                                      -- bins that count {meta.number}
    CAST(cadence_s AS DOUBLE) AS cadence_s,                                 -- distance of the file's points [s] {time.interval}
    CAST(bin_s AS DOUBLE) AS bin_s,                                         -- length of a bin [s] {time.interval}
    CAST(span_d AS DOUBLE) AS span_d,                                       -- time spanned by the bins [d] {time.duration}
    CAST(rms_ppm AS DOUBLE) AS rms_ppm,                                     -- rms of the bins without trend, in millionths {stat.stdev;phot.flux}
    CAST(white_ppm2_uhz AS DOUBLE) AS white_ppm2_uhz,                       -- power density of white noise, ppm^2 per uHz [uHz**-1] {stat.fourier;instr.det.noise}
    CAST(band_to_white AS DOUBLE) AS band_to_white,                         -- mean power density in the band over white noise {stat.fourier;arith.ratio}
    CAST(flicker_rms_ppm AS DOUBLE) AS flicker_rms_ppm,                     -- rms of change in the band above white noise, in millionths {stat.stdev;src.var}
    CAST(flicker_var_ppm2 AS DOUBLE) AS flicker_var_ppm2,                   -- its square, below zero where noise hides it, in 1e-12 {stat.variance;src.var}
    CAST(flicker_var_err_ppm2 AS DOUBLE) AS flicker_var_err_ppm2,           -- error of that, of the scatter of powers alone, in 1e-12 {stat.error;stat.variance;src.var}
    CAST(n_giants AS INTEGER) AS n_giants,                                  -- comparison giants as bright {meta.number}
    CAST(CASE WHEN is_compared THEN median_var END AS DOUBLE) AS giants_var_ppm2, -- median of their variances in the band, in 1e-12 {stat.median;stat.variance;src.var}
    CAST(CASE WHEN is_compared AND median_var > 0 THEN flicker_var_ppm2 / median_var END AS DOUBLE) AS ratio, -- variance in the band over that median {stat.variance;arith.ratio}
    CAST(CASE WHEN is_compared THEN CAST(n_greater + 1 AS DOUBLE) / (n_giants + 1) END AS DOUBLE) AS p_rank, -- share of giants, itself counted, that change as much or more {stat.rank}
    CAST(CASE
        WHEN flicker_var_ppm2 IS NULL THEN 'no measure: ' || n_bins || ' bins count, ' || CAST(getvariable('tess_bins_min') AS INTEGER) || ' are needed, of one sector and a cadence that reaches the noise band'
        WHEN tess_mag IS NULL THEN 'not compared: its TESS magnitude is not known'
        WHEN NOT is_compared THEN 'not compared: ' || n_giants || ' comparison giants as bright, ' || CAST(getvariable('tess_compare_stars') AS INTEGER) || ' are needed'
        ELSE 'compared with ' || n_giants || ' giants as bright within ' || format('{:.1f} mag', CAST(getvariable('tess_compare_mag') AS DOUBLE))
            || CASE WHEN median_var > 0 THEN '' ELSE '; no ratio, since half of them show nothing above noise' END
    END AS VARCHAR) AS comparison,                                          -- whether it was compared, and why not {meta.note}
    CAST(concat_ws('; ',
        CASE WHEN prox < getvariable('tess_blend_arcsec') THEN format('a survey source at {:.1f} arcsec shares its TESS pixel of 21 arcsec', prox) END,
        CASE WHEN flux_share < getvariable('tess_share_min') THEN format('only {:.0f} % of the flux in the aperture is its own', 100 * flux_share) END,
        CASE WHEN flux_column LIKE 'KSPSAP%' OR flux_column LIKE 'DET_FLUX%' THEN 'its pipeline took slow change away already, so some flickering is lost' END,
        CASE WHEN flicker_var_ppm2 <= 3 * flicker_var_err_ppm2 THEN 'less than three errors above white noise' END,
        CASE WHEN flicker_var_ppm2 IS NOT NULL THEN 'granulation and oscillations of giants are in the band too' END
    ) AS VARCHAR) AS cautions                                               -- what calls for caution {meta.note}
FROM judged
