-- int_effective__bins: each object's rapid delta-u sigma among sample objects as bright as it.
--
-- grain:  one row per object_id of the sample that has a rapid delta-u sigma
-- key:    object_id
-- inputs: sample, rapid_variability, int_rapid__sequences
-- source: the 95.5 % and 99.7 % lines of "effective sigma" (Lucy 2021); that they are percentiles of the sample in running bins is our
--         reading, the talk does not say
-- nulls:  none
-- rule:   objects are cut into blocks of equal number in order of effective_axis; an object's running bin is its own block and the two
--         beside it. Outliers do not count in a bin: those above effective_outlier_factor times its 95.5 % line are left out and the
--         line is drawn again, three times (the third time changes nothing but in skies full of variables). Lines are interpolated
--         percentiles, p_empirical is a rank: the share of a bin's counted objects, the object itself among them, whose
--         sigma is as high or higher. scatter_mag is what, added in quadrature to each error, makes half of the changes between
--         first and second exposures as small as they are: (median(d^2) / 0.454936 - median(e_i^2 + e_j^2)) / 2, where 0.454936 is
--         the median of chi^2 with one degree of freedom, and once more with each change in units of its own error; medians, so
--         that variables do not count

WITH per_object AS (
    SELECT
        q.object_id,
        CAST(sum(CAST(floor(list_sum(q.mags) * 1e9 + 0.5e0) AS HUGEINT)) AS DOUBLE) / sum(q.n_u) / 1e9 AS u_mag,
        sqrt(CAST(sum(CAST(floor(list_sum(list_transform(q.errors, lambda e: e * e)) * 1e18 + 0.5e0) AS HUGEINT)) AS DOUBLE) / sum(q.n_u) / 1e18) AS e_u_mag,
        min(struct_pack(sequence_id := q.sequence_id, d2 := (q.mags[2] - q.mags[1]) ** 2, e2 := q.errors[1] ** 2 + q.errors[2] ** 2)) AS first_pair
    FROM int_rapid__sequences AS q
    GROUP BY q.object_id
),

measured AS (
    SELECT
        o.object_id, o.u_mag, o.e_u_mag, o.first_pair.d2 AS d2, o.first_pair.e2 AS e2, r.rapid_u_sigma,
        CASE getvariable('effective_axis') WHEN 'u_mag' THEN o.u_mag WHEN 'error' THEN o.e_u_mag
             ELSE error('effective_axis is u_mag or error') END AS along
    FROM per_object AS o
    SEMI JOIN sample AS s ON o.object_id = s.object_id
    JOIN rapid_variability AS r ON o.object_id = r.object_id
),

numbered AS (
    SELECT
        *,
        row_number() OVER (ORDER BY along, object_id) - 1 AS position,
        count(*) OVER () AS n
    FROM measured
),

blocks AS (
    SELECT *, position * greatest(1, n * 3 // CAST(getvariable('effective_bin_objects') AS BIGINT)) // n AS block
    FROM numbered
),

-- Every object stands in three bins at most: that of its own block and those of the two beside it.
bins AS (
    SELECT b.object_id, b.rapid_u_sigma, b.d2, b.e2, b.block, b.block + step AS bin
    FROM blocks AS b
    CROSS JOIN (VALUES (-1), (0), (1)) AS steps(step)
    SEMI JOIN blocks AS h ON b.block + step = h.block
),

lines_0 AS (
    SELECT bin, quantile_cont(rapid_u_sigma, 0.955) AS sigma_955 FROM bins GROUP BY bin
),

kept_1 AS (
    SELECT b.object_id FROM blocks AS b JOIN lines_0 AS l ON b.block = l.bin
    WHERE b.rapid_u_sigma <= getvariable('effective_outlier_factor') * l.sigma_955
),

lines_1 AS (
    SELECT bin, quantile_cont(rapid_u_sigma, 0.955) AS sigma_955 FROM bins SEMI JOIN kept_1 USING (object_id) GROUP BY bin
),

kept_2 AS (
    SELECT b.object_id FROM blocks AS b JOIN lines_1 AS l ON b.block = l.bin
    WHERE b.rapid_u_sigma <= getvariable('effective_outlier_factor') * l.sigma_955
),

lines_2 AS (
    SELECT bin, quantile_cont(rapid_u_sigma, 0.955) AS sigma_955 FROM bins SEMI JOIN kept_2 USING (object_id) GROUP BY bin
),

kept AS (
    SELECT b.object_id FROM blocks AS b JOIN lines_2 AS l ON b.block = l.bin
    WHERE b.rapid_u_sigma <= getvariable('effective_outlier_factor') * l.sigma_955
),

lines AS (
    SELECT
        bin, count(*) AS n_bin,
        quantile_cont(rapid_u_sigma, 0.955) AS sigma_955,
        quantile_cont(rapid_u_sigma, 0.997) AS sigma_997,
        median(e2) AS e2,
        greatest(0, (median(d2) / 0.454936 - median(e2)) / 2) AS s2
    FROM bins SEMI JOIN kept USING (object_id)
    GROUP BY bin
),

scatters AS (
    SELECT b.bin, sqrt(greatest(0, min(l.s2) + (median(b.d2 / (b.e2 + 2 * l.s2)) / 0.454936 - 1) * (min(l.e2) + 2 * min(l.s2)) / 2)) AS scatter_mag
    FROM bins AS b
    SEMI JOIN kept AS k ON b.object_id = k.object_id
    JOIN lines AS l ON b.bin = l.bin
    GROUP BY b.bin
),

ranked AS (
    SELECT
        b.object_id, b.bin, b.block, k.object_id IS NULL AS is_outlier,
        count(k.object_id) OVER (PARTITION BY b.bin ORDER BY b.rapid_u_sigma DESC RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS n_as_high
    FROM bins AS b
    LEFT JOIN kept AS k ON b.object_id = k.object_id
)

SELECT
    CAST(b.object_id AS BIGINT) AS object_id,               -- survey object {meta.id;meta.main}
    CAST(b.u_mag AS DOUBLE) AS u_mag,                       -- mean of its exposures in sequences, AB [mag] {phot.mag;em.opt.U}
    CAST(b.e_u_mag AS DOUBLE) AS e_u_mag,                   -- root mean square of their errors [mag] {stat.error;phot.mag}
    CAST(b.rapid_u_sigma AS DOUBLE) AS rapid_u_sigma,       -- rapid delta-u sigma {stat.snr;phot.mag;em.opt.U}
    CAST(r.bin AS INTEGER) AS bin,                          -- its running bin, from 0 at the bright end {meta.id}
    CAST(l.n_bin AS INTEGER) AS n_bin,                      -- objects that count in the bin {meta.number}
    CAST(r.is_outlier AS BOOLEAN) AS is_outlier,            -- TRUE: left out of the bins {meta.code}
    CAST(l.sigma_955 AS DOUBLE) AS sigma_955,               -- 95.5 % of the bin lie at or below {stat.snr}
    CAST(l.sigma_997 AS DOUBLE) AS sigma_997,               -- 99.7 % of the bin lie at or below {stat.snr}
    CAST(c.scatter_mag AS DOUBLE) AS scatter_mag,           -- scatter of the bin beyond the errors, of one exposure [mag] {stat.stdev;phot.mag}
    CAST(CASE WHEN r.is_outlier THEN CAST(r.n_as_high + 1 AS DOUBLE) / (l.n_bin + 1)
              ELSE CAST(r.n_as_high AS DOUBLE) / l.n_bin END AS DOUBLE) AS p_empirical -- share of the bin as high or higher {stat.probability}
FROM blocks AS b
JOIN ranked AS r ON b.object_id = r.object_id AND b.block = r.bin
JOIN lines AS l ON r.bin = l.bin
JOIN scatters AS c ON r.bin = c.bin
