-- stg_distance__geometric: geometric distances of Gaia sources, one row each.
--
-- grain:  one row per source_id
-- key:    source_id
-- kind:   view
-- inputs: gaiadr2_complements.geometric_distance
-- source: Bailer-Jones et al. 2018, AJ 156, 58
-- nulls:  r_est, r_lo and r_hi are NULL where result_flag is 0 (no solution)
-- rule:   a source that came twice is kept once, the first in the order below

SELECT
    CAST(source_id AS BIGINT) AS source_id,             -- Gaia source {meta.id;meta.main}
    CAST(r_est AS DOUBLE) AS r_est,                     -- estimated distance [pc] {pos.distance}
    CAST(r_lo AS DOUBLE) AS r_lo,                       -- lower bound of the 68 % interval [pc] {pos.distance;stat.min}
    CAST(r_hi AS DOUBLE) AS r_hi,                       -- upper bound of the 68 % interval [pc] {pos.distance;stat.max}
    CAST(result_flag AS INTEGER) AS result_flag,        -- 0 failed, 1 mode and interval, 2 median and quantiles {meta.code.qual}
    CAST(modality_flag AS INTEGER) AS modality_flag     -- number of modes of the posterior {meta.number}
FROM gaiadr2_complements.geometric_distance
WHERE source_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY source_id
    ORDER BY r_est, r_lo, r_hi, result_flag, modality_flag, _chunk_id
) = 1
