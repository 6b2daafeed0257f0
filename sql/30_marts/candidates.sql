-- candidates: outliers in colour or in rapid variability, ranked, each with its reason in words.
--
-- grain:  one row per object_id of the sample that is an outlier
-- key:    object_id
-- inputs: sample, colours, density_score, rapid_variability, effective_sigma, stg_known__objects, simbad_status, int_candidates__cautions
-- source: "selected as outliers in (u-g, u-v) and/or rapid delta-u sigma" (Lucy 2024, abstract); the limits are the envelope of the 22
--         published new objects, a description and not the paper's regions
-- nulls:  an object without a density score or without a rapid delta-u sigma can be an outlier in the other one only
-- rule:   an outlier in colour is rare (density_ln_max) and lies in the colour box; one in variability reaches rapid_u_sigma_min or, where
--         that rule is not left out, rapid_p_max. Cautions are said of a candidate and take none away.
--         Ranked by the rarer of two fractions: of scored sample objects whose colours are as rare or rarer, and of sample objects with a
--         rapid delta-u sigma whose value is as high or higher; then by the other fraction, then by object_id

WITH scored AS (
    SELECT s.object_id, c.ug_mag, c.uv_mag, d.ln_density, r.rapid_u_sigma, e.p_empirical, e.p_scatter, e.sigma_997
    FROM sample AS s
    LEFT JOIN colours AS c ON s.object_id = c.object_id
    LEFT JOIN density_score AS d ON s.object_id = d.object_id
    LEFT JOIN rapid_variability AS r ON s.object_id = r.object_id
    LEFT JOIN effective_sigma AS e ON s.object_id = e.object_id
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
        coalesce(
            ln_density <= getvariable('density_ln_max')
            AND ug_mag BETWEEN getvariable('colour_box_ug_mag')[1] AND getvariable('colour_box_ug_mag')[2]
            AND uv_mag BETWEEN getvariable('colour_box_uv_mag')[1] AND getvariable('colour_box_uv_mag')[2], FALSE
        ) AS is_colour_outlier,
        coalesce(rapid_u_sigma >= getvariable('rapid_u_sigma_min'), FALSE) AS is_sigma_outlier,
        coalesce(getvariable('rapid_p_max') > 0 AND p_scatter <= getvariable('rapid_p_max'), FALSE) AS is_p_outlier
    FROM scored
),

outliers AS (
    SELECT
        *, is_sigma_outlier OR is_p_outlier AS is_variability_outlier,
        row_number() OVER (
            ORDER BY
                least(coalesce(density_fraction, 1), coalesce(variability_fraction, 1)),
                greatest(coalesce(density_fraction, 1), coalesce(variability_fraction, 1)),
                object_id
        ) AS place
    FROM placed
    WHERE is_colour_outlier OR is_sigma_outlier OR is_p_outlier
),

told AS (
    SELECT
        s.*, o.* EXCLUDE (object_id), c.ug_err, c.uv_err, c.n_nights_ug, c.n_nights_uv,
        r.rapid_u_sigma_floored, r.delta_u_mag, r.n_sequences, r.image_id_i, r.image_id_j, r.sequence_id,
        k.name AS known_name, k.object_type AS known_type, b.state AS simbad_state, b.main_id, b.main_type, w.cautions
    FROM outliers AS o
    JOIN sample AS s ON o.object_id = s.object_id
    LEFT JOIN colours AS c ON o.object_id = c.object_id
    LEFT JOIN rapid_variability AS r ON o.object_id = r.object_id
    LEFT JOIN stg_known__objects AS k ON o.object_id = k.object_id
    LEFT JOIN simbad_status AS b ON o.object_id = b.object_id
    LEFT JOIN int_candidates__cautions AS w ON o.object_id = w.object_id
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
        ) || CASE WHEN p_scatter < 1e-12 THEN ', probability below 1e-12 if nothing varies'   -- no noise is Gaussian so far out
                WHEN p_scatter IS NOT NULL THEN format(', probability {:.2g} if nothing varies', p_scatter)
                ELSE '' END END AS variability_reason
    FROM told
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                             -- survey object {meta.id;meta.main}
    CAST(place AS INTEGER) AS rank,                                     -- 1 is the most outlying {meta.number}
    CAST(concat_ws('; ', colour_reason, variability_reason) AS VARCHAR) AS reason,  -- why it is here, in words {meta.note}
    CAST(concat_ws('+', CASE WHEN is_colour_outlier THEN 'colour' END, CASE WHEN is_variability_outlier THEN 'variability' END) AS VARCHAR) AS criteria, -- colour, variability or both {meta.code}
    CAST(known_name AS VARCHAR) AS known_name,                          -- name in the list of known objects {meta.id}
    CAST(known_type AS VARCHAR) AS known_type,                          -- its type there {src.class}
    CAST(coalesce(simbad_state, 'not asked') AS VARCHAR) AS simbad_state, -- matched, none (asked, SIMBAD has nothing) or not asked {meta.code}
    CAST(main_id AS VARCHAR) AS main_id,                                -- SIMBAD's main identifier {meta.id}
    CAST(main_type AS VARCHAR) AS main_type,                            -- SIMBAD's main object type {src.class}
    CAST(coalesce(cautions, '') AS VARCHAR) AS cautions,                -- what else could make it an outlier, in words; empty: nothing known {meta.note}
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
    CAST(p_empirical AS DOUBLE) AS p_empirical,                         -- share of sample objects as bright whose sigma is as high or higher {stat.probability}
    CAST(p_scatter AS DOUBLE) AS p_scatter,                             -- probability of so high a sigma if nothing varies, see effective_sigma {stat.probability}
    CAST(sigma_997 AS DOUBLE) AS sigma_997,                             -- 99.7 % of sample objects as bright lie at or below {stat.snr}
    CAST(delta_u_mag AS DOUBLE) AS delta_u_mag,                         -- change in u of the winning pair [mag] {phot.mag;em.opt.U;arith.diff}
    CAST(image_id_i AS BIGINT) AS image_id_i,                           -- its earlier exposure {meta.id;obs}
    CAST(image_id_j AS BIGINT) AS image_id_j,                           -- its later exposure {meta.id;obs}
    CAST(sequence_id AS BIGINT) AS sequence_id,                         -- its sequence {meta.id;obs.sequence}
    CAST(n_sequences AS INTEGER) AS n_sequences                         -- sequences compared {meta.number}
FROM worded
ORDER BY rank
