-- stg_survey__images: the survey's exposures, one row each.
--
-- grain:  one row per image_id
-- key:    image_id
-- kind:   view
-- inputs: dr2.images
-- source: SkyMapper DR2 table dr2.images
-- nulls:  field_id may be NULL (no survey field)
-- rule:   night_mjd is the archive's own and is never computed from date; pointings are left out, since the bulk dumps give
--         them in radians and the service in degrees; an exposure that came twice is kept once, the first in the order below

SELECT
    CAST(image_id AS BIGINT) AS image_id,                    -- exposure: UT of its start as YYYYMMDDhhmmss {meta.id;meta.main}
    CAST(night_mjd AS INTEGER) AS night_mjd,                 -- the night's number [d] {time.epoch;obs}
    CAST(date AS DOUBLE) AS date,                            -- start of the exposure, MJD in UTC [d] {time.start;obs.exposure}
    CAST(field_id AS BIGINT) AS field_id,                    -- survey field {meta.id;obs.field}
    CAST(exp_time AS DOUBLE) AS exp_time,                    -- exposure time [s] {time.duration;obs.exposure}
    CAST(lower(trim(filter)) AS VARCHAR) AS filter,          -- u, v, g, r, i or z {meta.id;instr.filter}
    CAST(lower(trim(image_type)) AS VARCHAR) AS image_type   -- fs Shallow Survey, ms Main Survey, std standard field, bad {meta.code.class;obs}
FROM dr2.images
WHERE image_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY image_id
    ORDER BY date, night_mjd, field_id, filter, image_type, exp_time, _chunk_id
) = 1
