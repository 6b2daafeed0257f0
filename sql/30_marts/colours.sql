-- colours: mean snapshot colours of each object.
--
-- grain:  one row per object_id with at least one u, v or g measurement
-- key:    object_id
-- scope:  object
-- inputs: nightly_colours, int_reddening__zero_points
-- source: nights weighted by their inverse variance, each colour by itself: sum(c/var)/sum(1/var) (the recipe behind the published
--         colours of Lucy 2024); error (sum(1/var))^(-1/2), the error of such a mean
-- nulls:  no night with both bands: the colour is NULL and its number of nights 0
-- rule:   u and v are corrected for zero points that drift with reddening where zero_point_correction says so. Sums in whole numbers of 1e-12, as in nightly_colours

WITH fixed_point AS (
    SELECT
        object_id,
        CAST(floor(ug_mag / ug_var * 1e12 + 0.5e0) AS HUGEINT) AS ug_weighted,
        CAST(floor(1 / ug_var * 1e12 + 0.5e0) AS HUGEINT) AS ug_weight,
        CAST(floor(uv_mag / uv_var * 1e12 + 0.5e0) AS HUGEINT) AS uv_weighted,
        CAST(floor(1 / uv_var * 1e12 + 0.5e0) AS HUGEINT) AS uv_weight
    FROM nightly_colours
),

sums AS (
    SELECT
        object_id,
        count(ug_weight) AS n_nights_ug,
        count(uv_weight) AS n_nights_uv,
        CAST(sum(ug_weighted) AS DOUBLE) AS ug_weighted,
        CAST(sum(ug_weight) AS DOUBLE) AS ug_weight,
        CAST(sum(uv_weighted) AS DOUBLE) AS uv_weighted,
        CAST(sum(uv_weight) AS DOUBLE) AS uv_weight
    FROM fixed_point
    GROUP BY object_id
)

SELECT
    CAST(s.object_id AS BIGINT) AS object_id,                           -- survey object {meta.id;meta.main}
    CAST(ug_weighted / ug_weight + coalesce(z.u_correction_mag, 0) AS DOUBLE) AS ug_mag, -- mean nightly u - g [mag] {phot.color;em.opt.U;em.opt.B}
    CAST(1 / sqrt(ug_weight / 1e12) AS DOUBLE) AS ug_err,               -- its error [mag] {stat.error;phot.color}
    CAST(uv_weighted / uv_weight + coalesce(z.u_correction_mag - z.v_correction_mag, 0) AS DOUBLE) AS uv_mag, -- mean nightly u - v [mag] {phot.color;em.opt.U}
    CAST(1 / sqrt(uv_weight / 1e12) AS DOUBLE) AS uv_err,               -- its error [mag] {stat.error;phot.color}
    CAST(n_nights_ug AS INTEGER) AS n_nights_ug,                        -- nights with u and g {meta.number}
    CAST(n_nights_uv AS INTEGER) AS n_nights_uv                         -- nights with u and v {meta.number}
FROM sums AS s
LEFT JOIN int_reddening__zero_points AS z ON s.object_id = z.object_id
