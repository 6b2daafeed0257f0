-- stg_distance__geometric: geometric distances of Gaia sources, one row each.
--
-- grain:  one row per source_id
-- key:    source_id
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS source_id,            -- Gaia source {meta.id;meta.main}
    CAST(NULL AS DOUBLE) AS r_est,                -- estimated distance [pc] {pos.distance}
    CAST(NULL AS DOUBLE) AS r_lo,                 -- lower bound of the 68 % interval [pc] {pos.distance;stat.min}
    CAST(NULL AS DOUBLE) AS r_hi,                 -- upper bound of the 68 % interval [pc] {pos.distance;stat.max}
    CAST(NULL AS INTEGER) AS result_flag,         -- 0 failed, 1 mode and interval, 2 median and quantiles {meta.code.qual}
    CAST(NULL AS INTEGER) AS modality_flag        -- number of modes of the posterior {meta.number}
WHERE FALSE
