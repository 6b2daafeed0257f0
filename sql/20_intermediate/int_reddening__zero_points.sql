-- int_reddening__zero_points: by how much the survey's u and v zero points are off where an object lies behind dust.
--
-- grain:  one row per object_id of the catalogue that zero_point_correction corrects: none where it is 'none'
-- key:    object_id
-- inputs: stg_survey__master
-- source: Huang et al. 2021, ApJ 907, 68: steps of E(B-V) of Schlegel et al. 1998 (published beside the paper as uv-zp-ebv); the spatial
--         parts of that paper's corrections are left out
-- nulls:  an object without E(B-V), or beyond the table, has no row and is not corrected
-- rule:   the sign with which the published numbers enter is not said beside them: 'subtract' takes them from the magnitudes, 'add'
--         adds them. The published colours of Lucy 2024 carry no such correction

WITH steps AS (
    SELECT * FROM (VALUES
        (0.00, 0.02, -0.0020, 0.0014),
        (0.02, 0.04, 0.0072, 0.0098),
        (0.04, 0.06, 0.0233, 0.0230),
        (0.06, 0.08, 0.0371, 0.0322),
        (0.08, 0.10, 0.0573, 0.0440),
        (0.10, 0.12, 0.0709, 0.0545),
        (0.12, 0.14, 0.0875, 0.0653),
        (0.14, 0.16, 0.1069, 0.0777),
        (0.16, 0.18, 0.1210, 0.0877),
        (0.18, 0.20, 0.1320, 0.0949),
        (0.20, 0.22, 0.1400, 0.0989),
        (0.22, 0.24, 0.1469, 0.1055),
        (0.24, 0.26, 0.1517, 0.1078),
        (0.26, 0.28, 0.1556, 0.1172),
        (0.28, 0.30, 0.1596, 0.1234),
        (0.30, 0.35, 0.1662, 0.1271),
        (0.35, 0.40, 0.1667, 0.1347),
        (0.40, 0.50, 0.1738, 0.1378),
        (0.50, 0.60, 0.2027, 0.1396),
        (0.60, 0.80, 0.2367, 0.1737),
        (0.80, 1.00, 0.2367, 0.2106),
        (1.00, 1.50, 0.2112, 0.1795),
        (1.50, 2.50, 0.1583, 0.1137)
    ) AS t(ebmv_from, ebmv_to, delta_u_mag, delta_v_mag)
),

signs AS (
    SELECT CASE getvariable('zero_point_correction') WHEN 'none' THEN 0 WHEN 'add' THEN 1 WHEN 'subtract' THEN -1
                ELSE error('zero_point_correction is none, add or subtract') END AS sign
)

SELECT
    CAST(m.object_id AS BIGINT) AS object_id,                   -- survey object {meta.id;meta.main}
    CAST(g.sign * t.delta_u_mag AS DOUBLE) AS u_correction_mag, -- to add to u [mag] {phot.mag;em.opt.U;arith.diff}
    CAST(g.sign * t.delta_v_mag AS DOUBLE) AS v_correction_mag  -- to add to v [mag] {phot.mag;em.opt.U;arith.diff}
FROM stg_survey__master AS m
JOIN signs AS g ON g.sign <> 0
JOIN steps AS t ON m.ebmv_sfd >= t.ebmv_from AND m.ebmv_sfd < t.ebmv_to
