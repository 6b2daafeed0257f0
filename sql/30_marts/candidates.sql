-- candidates: outliers in colour or in rapid variability, ranked, each with its reason in words.
--
-- grain:  one row per object_id of the sample that is an outlier
-- key:    object_id
-- inputs: sample, colours, density_score, rapid_variability, stg_known__objects
-- source: "selected as outliers in (u-g, u-v) and/or rapid delta-u sigma" (Lucy 2024, abstract); the limits are the envelope of the 22
--         published new objects, a description and not the paper's regions
-- nulls:  an object without a density score or without a rapid delta-u sigma can be an outlier in the other one only
-- rule:   ranked by the rarer of two fractions: of scored sample objects whose colours are as rare or rarer, and of sample objects with a
--         rapid delta-u sigma whose value is as high or higher; then by the other fraction, then by object_id

WITH scored AS (
    SELECT s.object_id, d.ln_density, r.rapid_u_sigma
    FROM sample AS s
    LEFT JOIN density_score AS d ON s.object_id = d.object_id
    LEFT JOIN rapid_variability AS r ON s.object_id = r.object_id
),

placed AS (
    SELECT
        *,
        CASE WHEN ln_density IS NOT NULL
             THEN CAST(rank() OVER (ORDER BY ln_density ASC NULLS LAST) AS DOUBLE) / count(ln_density) OVER ()
        END AS density_fraction,
        CASE WHEN rapid_u_sigma IS NOT NULL
             THEN CAST(rank() OVER (ORDER BY rapid_u_sigma DESC NULLS LAST) AS DOUBLE) / count(rapid_u_sigma) OVER ()
        END AS variability_fraction,
        coalesce(ln_density <= getvariable('density_ln_max'), FALSE) AS is_colour_outlier,
        coalesce(rapid_u_sigma >= getvariable('rapid_u_sigma_min'), FALSE) AS is_variability_outlier
    FROM scored
),

outliers AS (
    SELECT
        *,
        row_number() OVER (
            ORDER BY
                least(coalesce(density_fraction, 1), coalesce(variability_fraction, 1)),
                greatest(coalesce(density_fraction, 1), coalesce(variability_fraction, 1)),
                object_id
        ) AS place
    FROM placed
    WHERE is_colour_outlier OR is_variability_outlier
),

told AS (
    SELECT
        s.*, o.* EXCLUDE (object_id), c.ug_mag, c.ug_err, c.uv_mag, c.uv_err, c.n_nights_ug, c.n_nights_uv,
        r.rapid_u_sigma_floored, r.delta_u_mag, r.n_sequences, r.image_id_i, r.image_id_j, r.sequence_id,
        k.name AS known_name, k.object_type AS known_type
    FROM outliers AS o
    JOIN sample AS s ON o.object_id = s.object_id
    LEFT JOIN colours AS c ON o.object_id = c.object_id
    LEFT JOIN rapid_variability AS r ON o.object_id = r.object_id
    LEFT JOIN stg_known__objects AS k ON o.object_id = k.object_id
),

worded AS (
    SELECT
        *,
        CASE WHEN is_colour_outlier THEN format(
            'rare colours: u-g {:.3f}, u-v {:.3f}, ln density {:.3f} (limit {:.3f}), {:.2g} % of the scored sample as rare or rarer',
            ug_mag, uv_mag, ln_density, CAST(getvariable('density_ln_max') AS DOUBLE), 100 * density_fraction
        ) END AS colour_reason,
        CASE WHEN is_variability_outlier THEN format(
            'rapid change: {} differs by {:.3f} mag within one sequence, {:.2f} sigma (limit {:.2f}), {:.2f} sigma with the error floor',
            getvariable('rapid_filter'), delta_u_mag, rapid_u_sigma, CAST(getvariable('rapid_u_sigma_min') AS DOUBLE), rapid_u_sigma_floored
        ) END AS variability_reason
    FROM told
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                             -- survey object {meta.id;meta.main}
    CAST(place AS INTEGER) AS rank,                                     -- 1 is the most outlying {meta.number}
    CAST(concat_ws('; ', colour_reason, variability_reason) AS VARCHAR) AS reason,  -- why it is here, in words {meta.note}
    CAST(concat_ws('+', CASE WHEN is_colour_outlier THEN 'colour' END, CASE WHEN is_variability_outlier THEN 'variability' END) AS VARCHAR) AS criteria, -- colour, variability or both {meta.code}
    CAST(known_name AS VARCHAR) AS known_name,                          -- name in the list of known objects {meta.id}
    CAST(known_type AS VARCHAR) AS known_type,                          -- its type there {src.class}
    CAST(source_id AS BIGINT) AS source_id,                             -- Gaia source {meta.id.cross}
    CAST(raj2000 AS DOUBLE) AS raj2000,                                 -- mean right ascension, ICRS [deg] {pos.eq.ra;meta.main}
    CAST(dej2000 AS DOUBLE) AS dej2000,                                 -- mean declination, ICRS [deg] {pos.eq.dec;meta.main}
    CAST(j_m AS DOUBLE) AS j_m,                                         -- 2MASS J, Vega [mag] {phot.mag;em.IR.J}
    CAST(k_m AS DOUBLE) AS k_m,                                         -- 2MASS Ks, Vega [mag] {phot.mag;em.IR.K}
    CAST(jk0_mag AS DOUBLE) AS jk0_mag,                                 -- J - Ks corrected for reddening [mag] {phot.color;em.IR.J;em.IR.K}
    CAST(abs_j_mag AS DOUBLE) AS abs_j_mag,                             -- absolute J magnitude, no extinction correction [mag] {phys.magAbs;em.IR.J}
    CAST(ebmv_sfd AS DOUBLE) AS ebmv_sfd,                               -- E(B-V) of Schlegel et al. 1998 [mag] {phot.color.excess}
    CAST(ug_mag AS DOUBLE) AS ug_mag,                                   -- mean nightly u - g [mag] {phot.color;em.opt.U;em.opt.B}
    CAST(ug_err AS DOUBLE) AS ug_err,                                   -- its error [mag] {stat.error;phot.color}
    CAST(uv_mag AS DOUBLE) AS uv_mag,                                   -- mean nightly u - v [mag] {phot.color;em.opt.U}
    CAST(uv_err AS DOUBLE) AS uv_err,                                   -- its error [mag] {stat.error;phot.color}
    CAST(n_nights_ug AS INTEGER) AS n_nights_ug,                        -- nights with u and g {meta.number}
    CAST(n_nights_uv AS INTEGER) AS n_nights_uv,                        -- nights with u and v {meta.number}
    CAST(ln_density AS DOUBLE) AS ln_density,                           -- ln of the density of sample objects at its colours, per mag^2 {stat.probability}
    CAST(density_fraction AS DOUBLE) AS density_fraction,               -- fraction of scored sample objects with colours as rare or rarer {stat.rank}
    CAST(rapid_u_sigma AS DOUBLE) AS rapid_u_sigma,                     -- rapid delta-u sigma {stat.snr;phot.mag;em.opt.U}
    CAST(rapid_u_sigma_floored AS DOUBLE) AS rapid_u_sigma_floored,     -- the same with an error floor in quadrature {stat.snr;phot.mag;em.opt.U}
    CAST(variability_fraction AS DOUBLE) AS variability_fraction,       -- fraction of sample objects with a sigma as high or higher {stat.rank}
    CAST(delta_u_mag AS DOUBLE) AS delta_u_mag,                         -- change in u of the winning pair [mag] {phot.mag;em.opt.U;arith.diff}
    CAST(image_id_i AS BIGINT) AS image_id_i,                           -- its earlier exposure {meta.id;obs}
    CAST(image_id_j AS BIGINT) AS image_id_j,                           -- its later exposure {meta.id;obs}
    CAST(sequence_id AS BIGINT) AS sequence_id,                         -- its sequence {meta.id;obs.sequence}
    CAST(n_sequences AS INTEGER) AS n_sequences                         -- sequences compared {meta.number}
FROM worded
ORDER BY rank
