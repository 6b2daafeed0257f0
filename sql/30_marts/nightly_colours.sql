-- nightly_colours: colour snapshots, u, v and g of one object in one night.
--
-- grain:  one row per object_id and night_mjd with at least one u, v or g measurement
-- key:    object_id, night_mjd
-- scope:  object
-- inputs: measurements
-- source: the recipe behind the published colours of Lucy 2024: e'^2 = e^2 + 0.01^2; inverse-variance mean m = sum(m/e'^2)/sum(1/e'^2);
--         variance of a plain mean sum(e'^2)/N^2; u-g and u-v of the night, variances added. Not corrected for reddening
-- nulls:  a band that was not measured that night is NULL, and so are the colours that need it
-- rule:   all surveys count alike (Shallow, Main, standard fields). Sums are made in whole numbers, magnitudes weighted in units
--         of 1e-12 and variances of 1e-18 mag^2, so that they do not depend on the order of rows, threads or memory

WITH weighted AS (
    SELECT
        object_id, night_mjd, filter, mag_psf,
        e_mag_psf * e_mag_psf + CAST(getvariable('error_floor_mag') AS DOUBLE) ** 2 AS e2
    FROM measurements
    WHERE filter IN ('u', 'v', 'g')
),

fixed_point AS (
    SELECT
        object_id, night_mjd, filter,
        CAST(floor(mag_psf / e2 * 1e12 + 0.5e0) AS HUGEINT) AS weighted_mag,
        CAST(floor(1 / e2 * 1e12 + 0.5e0) AS HUGEINT) AS weight,
        CAST(floor(e2 * 1e18 + 0.5e0) AS HUGEINT) AS variance
    FROM weighted
),

sums AS (
    SELECT
        object_id, night_mjd,
        count(*) FILTER (WHERE filter = 'u') AS n_u,
        count(*) FILTER (WHERE filter = 'v') AS n_v,
        count(*) FILTER (WHERE filter = 'g') AS n_g,
        CAST(sum(weighted_mag) FILTER (WHERE filter = 'u') AS DOUBLE) / CAST(sum(weight) FILTER (WHERE filter = 'u') AS DOUBLE) AS u_mag,
        CAST(sum(weighted_mag) FILTER (WHERE filter = 'v') AS DOUBLE) / CAST(sum(weight) FILTER (WHERE filter = 'v') AS DOUBLE) AS v_mag,
        CAST(sum(weighted_mag) FILTER (WHERE filter = 'g') AS DOUBLE) / CAST(sum(weight) FILTER (WHERE filter = 'g') AS DOUBLE) AS g_mag,
        CAST(sum(variance) FILTER (WHERE filter = 'u') AS DOUBLE) / 1e18 AS u_sum_e2,
        CAST(sum(variance) FILTER (WHERE filter = 'v') AS DOUBLE) / 1e18 AS v_sum_e2,
        CAST(sum(variance) FILTER (WHERE filter = 'g') AS DOUBLE) / 1e18 AS g_sum_e2,
        1e12 / CAST(sum(weight) FILTER (WHERE filter = 'u') AS DOUBLE) AS u_inverse_weight,
        1e12 / CAST(sum(weight) FILTER (WHERE filter = 'v') AS DOUBLE) AS v_inverse_weight,
        1e12 / CAST(sum(weight) FILTER (WHERE filter = 'g') AS DOUBLE) AS g_inverse_weight
    FROM fixed_point
    GROUP BY object_id, night_mjd
),

nights AS (
    SELECT
        object_id, night_mjd, n_u, n_v, n_g, u_mag, v_mag, g_mag,
        CASE getvariable('nightly_variance') WHEN 'plain' THEN u_sum_e2 / (n_u * n_u) WHEN 'weighted' THEN u_inverse_weight ELSE error('nightly_variance is plain or weighted') END AS u_var,
        CASE getvariable('nightly_variance') WHEN 'plain' THEN v_sum_e2 / (n_v * n_v) WHEN 'weighted' THEN v_inverse_weight ELSE error('nightly_variance is plain or weighted') END AS v_var,
        CASE getvariable('nightly_variance') WHEN 'plain' THEN g_sum_e2 / (n_g * n_g) WHEN 'weighted' THEN g_inverse_weight ELSE error('nightly_variance is plain or weighted') END AS g_var
    FROM sums
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                     -- survey object {meta.id;meta.main}
    CAST(night_mjd AS INTEGER) AS night_mjd,                    -- the night's number [d] {time.epoch;obs}
    CAST(n_u AS INTEGER) AS n_u,                                -- u measurements of the night {meta.number}
    CAST(n_v AS INTEGER) AS n_v,                                -- v measurements of the night {meta.number}
    CAST(n_g AS INTEGER) AS n_g,                                -- g measurements of the night {meta.number}
    CAST(u_mag AS DOUBLE) AS u_mag,                             -- inverse-variance mean u, AB [mag] {phot.mag;em.opt.U}
    CAST(v_mag AS DOUBLE) AS v_mag,                             -- inverse-variance mean v, AB [mag] {phot.mag;em.opt.U}
    CAST(g_mag AS DOUBLE) AS g_mag,                             -- inverse-variance mean g, AB [mag] {phot.mag;em.opt.B}
    CAST(u_var AS DOUBLE) AS u_var,                             -- variance of u_mag [mag**2] {stat.variance;phot.mag}
    CAST(v_var AS DOUBLE) AS v_var,                             -- variance of v_mag [mag**2] {stat.variance;phot.mag}
    CAST(g_var AS DOUBLE) AS g_var,                             -- variance of g_mag [mag**2] {stat.variance;phot.mag}
    CAST(u_mag - g_mag AS DOUBLE) AS ug_mag,                    -- u - g of the night [mag] {phot.color;em.opt.U;em.opt.B}
    CAST(u_var + g_var AS DOUBLE) AS ug_var,                    -- variance of ug_mag [mag**2] {stat.variance;phot.color}
    CAST(u_mag - v_mag AS DOUBLE) AS uv_mag,                    -- u - v of the night [mag] {phot.color;em.opt.U}
    CAST(u_var + v_var AS DOUBLE) AS uv_var                     -- variance of uv_mag [mag**2] {stat.variance;phot.color}
FROM nights
