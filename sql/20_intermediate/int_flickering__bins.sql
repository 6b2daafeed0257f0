-- int_flickering__bins: TESS light curves cleaned, averaged to one cadence, and freed of their trend.
--
-- grain:  one row per object_id, sector, segment and bin
-- key:    object_id, sector, segment, bin
-- scope:  object
-- inputs: stg_tess__light_curve
-- source: a high-pass filter as in asteroseismology of giants; the trend is the line fitted by least squares to the bins within half a width
--         on either side (local regression, Cleveland 1979, JASA 74, 829, with equal weights), which bends at no edge
-- nulls:  residual_ppm is NULL where the bin was clipped: both the running median and the running line of its segment lie too far away
-- rule:   a point counts that has a flux and none of the refused quality bits. Flux is taken relative to the median of its sector, in ppm; a
--         sector whose median is not above zero has no rows, and a point more than ten times off it is none. A segment ends at a gap and at a
--         momentum dump, and has a trend of its own, so a jump there leaves nothing. The cadence is the median distance of points; a
--         bin is the mean of as many of them as fill tess_bin_s, and needs half of them. Sums are made in whole numbers: 1e-6 ppm, 1e-6 d

WITH points AS (
    SELECT
        object_id, sector, time_btjd, flux, quality, flux_err,
        flux IS NOT NULL AND quality & getvariable('tess_quality_refused') = 0 AS counts
    FROM stg_tess__light_curve
),

broken AS (
    SELECT
        *,
        count(CASE WHEN quality & getvariable('tess_quality_breaks') <> 0 THEN 1 END) OVER (
            PARTITION BY object_id, sector ORDER BY time_btjd, quality, flux, flux_err
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS n_breaks
    FROM points
),

scales AS (
    SELECT object_id, sector, median(flux) AS median_flux, min(time_btjd) AS first_btjd
    FROM points
    WHERE counts
    GROUP BY object_id, sector
),

placed AS (
    SELECT
        b.object_id, b.sector, b.n_breaks, s.first_btjd, b.time_btjd - s.first_btjd AS time_d,
        (b.flux / s.median_flux - 1) * 1e6 AS x_ppm, b.flux_err,
        lag(b.time_btjd) OVER in_time AS previous_btjd,
        lag(b.n_breaks) OVER in_time AS previous_breaks,
        b.time_btjd
    FROM broken AS b
    JOIN scales AS s ON b.object_id = s.object_id AND b.sector = s.sector
    WHERE b.counts
      AND s.median_flux > 0
      AND abs(b.flux / s.median_flux) < 10
    WINDOW in_time AS (PARTITION BY b.object_id, b.sector ORDER BY b.time_btjd, b.flux, b.flux_err)
),

cadences AS (
    SELECT object_id, sector, greatest(1, round(quantile_disc(time_btjd - previous_btjd, 0.5) * 86400e0, 3)) AS cadence_s
    FROM placed
    WHERE time_btjd > previous_btjd
    GROUP BY object_id, sector
),

segments AS (
    SELECT
        p.object_id, p.sector, p.first_btjd, p.time_d, p.x_ppm, c.cadence_s,
        greatest(1, CAST(round(getvariable('tess_bin_s') / c.cadence_s) AS BIGINT)) AS per_bin,
        CAST(round(p.time_d * 86400e0 / c.cadence_s) AS BIGINT) AS cadence,
        count(CASE WHEN p.time_btjd - p.previous_btjd > getvariable('tess_gap_d') OR p.n_breaks > p.previous_breaks THEN 1 END) OVER (
            PARTITION BY p.object_id, p.sector ORDER BY p.time_btjd, p.x_ppm, p.flux_err
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS segment
    FROM placed AS p
    JOIN cadences AS c ON p.object_id = c.object_id AND p.sector = c.sector
),

bins AS (
    SELECT
        object_id, sector, segment, cadence // per_bin AS bin, first_btjd, cadence_s, per_bin, count(*) AS n_points,
        CAST(round(CAST(sum(CAST(round(time_d * 1e6) AS HUGEINT)) AS DOUBLE) / count(*)) AS HUGEINT) AS time_ud,
        CAST(round(CAST(sum(CAST(round(x_ppm * 1e6) AS HUGEINT)) AS DOUBLE) / count(*)) AS HUGEINT) AS x_uppm
    FROM segments
    GROUP BY object_id, sector, segment, cadence // per_bin, first_btjd, cadence_s, per_bin
    HAVING count(*) * 2 >= per_bin
),

first_sums AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY object_id, sector, segment) AS n_bins,
        median(CAST(x_uppm AS DOUBLE)) OVER near AS median_uppm,
        count(*) OVER near AS n,
        sum(time_ud) OVER near AS sum_t,
        sum(time_ud * time_ud) OVER near AS sum_tt,
        sum(x_uppm) OVER near AS sum_x,
        sum(time_ud * x_uppm) OVER near AS sum_tx
    FROM bins
    WINDOW near AS (
        PARTITION BY object_id, sector, segment ORDER BY time_ud
        RANGE BETWEEN CAST(getvariable('tess_trend_d') * 5e5 AS HUGEINT) PRECEDING AND CAST(getvariable('tess_trend_d') * 5e5 AS HUGEINT) FOLLOWING
    )
),

-- A running median bends at the ends of a segment, and a line is pulled by outliers: an outlier lies far from both.
first_trends AS (
    SELECT
        *,
        abs(x_uppm - median_uppm) AS off_median,
        abs(x_uppm - (
            CAST(sum_x AS DOUBLE)
            + coalesce(CAST(n * sum_tx - sum_t * sum_x AS DOUBLE) / nullif(CAST(n * sum_tt - sum_t * sum_t AS DOUBLE), 0), 0) * CAST(n * time_ud - sum_t AS DOUBLE)
        ) / n) AS off_line
    FROM first_sums
    WHERE n_bins >= getvariable('tess_segment_bins')
),

scatters AS (
    SELECT object_id, sector, 1.4826e0 * median(off_median) AS sigma_median, 1.4826e0 * median(off_line) AS sigma_line
    FROM first_trends
    GROUP BY object_id, sector
),

clipped AS (
    SELECT
        f.object_id, f.sector, f.segment, f.bin, f.first_btjd, f.cadence_s, f.per_bin, f.n_points, f.time_ud, f.x_uppm,
        s.sigma_median > 0 AND s.sigma_line > 0
        AND f.off_median > getvariable('tess_clip_sigma') * s.sigma_median
        AND f.off_line > getvariable('tess_clip_sigma') * s.sigma_line AS is_clipped
    FROM first_trends AS f
    JOIN scatters AS s ON f.object_id = s.object_id AND f.sector = s.sector
),

windows AS (
    SELECT
        *,
        count(*) OVER near AS n,
        sum(time_ud) OVER near AS sum_t,
        sum(time_ud * time_ud) OVER near AS sum_tt,
        sum(x_uppm) OVER near AS sum_x,
        sum(time_ud * x_uppm) OVER near AS sum_tx
    FROM clipped
    WHERE NOT is_clipped
    WINDOW near AS (
        PARTITION BY object_id, sector, segment ORDER BY time_ud
        RANGE BETWEEN CAST(getvariable('tess_trend_d') * 5e5 AS HUGEINT) PRECEDING AND CAST(getvariable('tess_trend_d') * 5e5 AS HUGEINT) FOLLOWING
    )
),

lines AS (
    SELECT
        *,
        coalesce(CAST(n * sum_tx - sum_t * sum_x AS DOUBLE) / nullif(CAST(n * sum_tt - sum_t * sum_t AS DOUBLE), 0), 0) AS slope
    FROM windows
),

told AS (
    SELECT
        object_id, sector, segment, bin, first_btjd, cadence_s, per_bin, n_points, time_ud, x_uppm,
        (CAST(sum_x AS DOUBLE) + slope * CAST(n * time_ud - sum_t AS DOUBLE)) / n AS trend_uppm
    FROM lines
    UNION ALL
    SELECT object_id, sector, segment, bin, first_btjd, cadence_s, per_bin, n_points, time_ud, x_uppm, NULL
    FROM clipped
    WHERE is_clipped
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                 -- object {meta.id;meta.main}
    CAST(sector AS INTEGER) AS sector,                                      -- TESS sector {meta.id;obs}
    CAST(segment AS INTEGER) AS segment,                                    -- run of points without a gap or a momentum dump, from 0 {meta.id}
    CAST(bin AS INTEGER) AS bin,                                            -- bin, counted from the first point of the sector {meta.id}
    CAST(n_points AS INTEGER) AS n_points,                                  -- points averaged {meta.number}
    CAST(first_btjd + CAST(time_ud AS DOUBLE) / 1e6 AS DOUBLE) AS time_btjd, -- their mean time, BJD(TDB) - 2457000 [d] {time.epoch;obs}
    CAST(CAST(time_ud AS DOUBLE) / 1e6 AS DOUBLE) AS time_d,                -- the same from the sector's first point that counts [d] {time.interval}
    CAST(per_bin * cadence_s AS DOUBLE) AS bin_s,                 -- length of the bin [s] {time.interval}
    CAST(cadence_s AS DOUBLE) AS cadence_s,                      -- distance of the points of the file [s] {time.interval}
    CAST(CAST(x_uppm AS DOUBLE) / 1e6 AS DOUBLE) AS flux_ppm,               -- mean flux over the sector's median, less 1, in millionths {phot.flux;arith.ratio}
    CAST(trend_uppm / 1e6 AS DOUBLE) AS trend_ppm,                          -- the trend at that time, in millionths {phot.flux;arith.ratio}
    CAST((CAST(x_uppm AS DOUBLE) - trend_uppm) / 1e6 AS DOUBLE) AS residual_ppm -- flux less trend, in millionths; NULL where clipped {phot.flux;arith.diff}
FROM told
