-- stg_survey__images: the telescope's exposures, one row each.
--
-- grain:  one row per image_id
-- key:    image_id
-- kind:   view
-- inputs: dr4.images
-- source: SkyMapper DR4 table dr4.images
-- nulls:  field_id is NULL where the archive names no field and gives no date or no pointing; such an exposure is in no sequence
-- rule:   night_mjd is the archive's own and is never computed from date; an exposure that came twice is kept once, the first in the
--         order below. DR4 holds programmes without survey fields. Their exposures in order of time are of one field as long as the
--         telescope stays (steps of 0.5 deg at most: dithers are arcminutes, the mosaic is 2.3 deg wide); its number is the negative
--         image_id of the first of them, since survey fields are above zero. Bulk dumps give pointings in radians, the service in
--         degrees, so the unit is taken from each chunk as a whole: radians where all its right ascensions are within 2 pi and all
--         its declinations within pi / 2

WITH pointed AS (
    SELECT
        *,
        max(abs(ra)) OVER chunk <= 2 * pi() AND max(abs(decl)) OVER chunk <= pi() / 2 AS is_radian
    FROM dr4.images
    WHERE image_id IS NOT NULL
    WINDOW chunk AS (PARTITION BY _chunk_id)
),

images AS (
    SELECT
        image_id, night_mjd, date, field_id, exp_time, filter, image_type,
        CASE WHEN is_radian THEN ra ELSE radians(ra) END AS ra_rad,
        CASE WHEN is_radian THEN decl ELSE radians(decl) END AS decl_rad
    FROM pointed
    QUALIFY row_number() OVER (
        PARTITION BY image_id
        ORDER BY date, night_mjd, field_id, filter, image_type, exp_time, _chunk_id
    ) = 1
),

without_field AS (
    SELECT
        image_id, date,
        2 * asin(sqrt(least(1,
            sin((decl_rad - lag(decl_rad) OVER in_time) / 2) ** 2
            + cos(decl_rad) * cos(lag(decl_rad) OVER in_time) * sin((ra_rad - lag(ra_rad) OVER in_time) / 2) ** 2
        ))) AS step_rad
    FROM images
    WHERE field_id IS NULL AND isfinite(date) AND isfinite(ra_rad) AND isfinite(decl_rad)
    WINDOW in_time AS (ORDER BY date, image_id)
),

pointings AS (
    SELECT
        image_id,
        last_value(
            CASE WHEN step_rad IS NULL OR degrees(step_rad) > 0.5 THEN image_id END IGNORE NULLS
        ) OVER (ORDER BY date, image_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS first_image_id
    FROM without_field
)

SELECT
    CAST(i.image_id AS BIGINT) AS image_id,                    -- exposure: UT of its start as YYYYMMDDhhmmss {meta.id;meta.main}
    CAST(i.night_mjd AS INTEGER) AS night_mjd,                 -- the night's number [d] {time.epoch;obs}
    CAST(i.date AS DOUBLE) AS date,                            -- start of the exposure, MJD in UTC [d] {time.start;obs.exposure}
    CAST(coalesce(i.field_id, -p.first_image_id) AS BIGINT) AS field_id, -- survey field; below zero: a pointing without one {meta.id;obs.field}
    CAST(i.exp_time AS DOUBLE) AS exp_time,                    -- exposure time [s] {time.duration;obs.exposure}
    CAST(lower(trim(i.filter)) AS VARCHAR) AS filter,          -- u, v, g, r, i or z {meta.id;instr.filter}
    CAST(lower(trim(i.image_type)) AS VARCHAR) AS image_type   -- fs Shallow Survey, ms Main Survey, std standard field, 3ps, bad {meta.code.class;obs}
FROM images AS i
LEFT JOIN pointings AS p ON i.image_id = p.image_id
