-- stg_distance__geometric: geometric distances of Gaia sources, one row each.
--
-- grain:  one row per source_id
-- key:    source_id
-- kind:   view
-- inputs: gedr3dist.main
-- source: Bailer-Jones et al. 2021, AJ 161, 147; identifiers of Gaia EDR3 are those of DR3
-- nulls:  modality_flag is NULL: it is not told. r_est is NULL where there is no distance
-- rule:   result_flag is not told either. All distances of 2021 are a median with quantiles, which is what 2 means in Bailer-Jones et
--         al. 2018, so that a row with a distance has 2 and one without has 0. Whether the fit of 2021 did well, flag does not say:
--         its authors ask not to select by it. A source that came twice is kept once, the first in the order below

SELECT
    CAST(source_id AS BIGINT) AS source_id,             -- Gaia source {meta.id;meta.main}
    CAST(r_med_geo AS DOUBLE) AS r_est,                 -- estimated distance [pc] {pos.distance}
    CAST(r_lo_geo AS DOUBLE) AS r_lo,                   -- lower bound of the 68 % interval [pc] {pos.distance;stat.min}
    CAST(r_hi_geo AS DOUBLE) AS r_hi,                   -- upper bound of the 68 % interval [pc] {pos.distance;stat.max}
    CAST(CASE WHEN r_med_geo IS NOT NULL THEN 2 ELSE 0 END AS INTEGER) AS result_flag, -- 0 failed, 2 median and quantiles {meta.code.qual}
    CAST(NULL AS INTEGER) AS modality_flag              -- number of modes of the posterior; not told {meta.number}
FROM gedr3dist.main
WHERE source_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY source_id
    ORDER BY r_med_geo, r_lo_geo, r_hi_geo, _chunk_id
) = 1
