-- stg_survey__images: the epochs of Stripe 82 in the place of exposures.
--
-- grain:  one row per image_id
-- key:    image_id
-- kind:   view
-- inputs: s82.lightcurves
-- source: Sesar et al. 2010, ApJ 708, 717; Apache Point lies 7 h west of Greenwich, so floor(MJD) is constant through a night
-- rule:   in a drift scan each star has its own epochs: image_id joins time, star and band as in stg_survey__photometry, and
--         field_id is the star

SELECT
    CAST(CAST(round(time * 1e6) AS BIGINT) * 100000000 + object_id * 10 + instr('ugriz', lower(trim(band))) AS BIGINT) AS image_id,     -- epoch and band {meta.id;meta.main}
    CAST(floor(time) AS INTEGER) AS night_mjd,                                                                  -- the night's number [d] {time.epoch;obs}
    CAST(time AS DOUBLE) AS date,                                                                               -- time of the epoch, MJD [d] {time.start;obs.exposure}
    CAST(object_id AS BIGINT) AS field_id,                                                                      -- the star {meta.id;obs.field}
    CAST(53.9 AS DOUBLE) AS exp_time,                                                                           -- effective exposure of the drift scan [s] {time.duration;obs.exposure}
    CAST(lower(trim(band)) AS VARCHAR) AS filter,                                                               -- u, g, r, i or z {meta.id;instr.filter}
    CAST('ms' AS VARCHAR) AS image_type                                                                         -- every epoch may belong to a sequence {meta.code.class;obs}
FROM s82.lightcurves
WHERE time IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY object_id, CAST(round(time * 1e6) AS BIGINT), lower(trim(band))
    ORDER BY time, _chunk_id
) = 1
