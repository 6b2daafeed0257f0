-- int_detections__patterns: single detections counted by load and by the quality cuts that they pass.
--
-- grain:  one row per chunk_id and pattern of cuts
-- key:    chunk_id, object_known, clip_considered, mag_finite, mag_range, error_finite, error_range, flags, nimaflags, image_known, image_type, night_known
-- scope:  chunk
-- inputs: stg_survey__photometry, stg_survey__images
-- broadcast: stg_survey__images
-- source: the cuts of measurements, one by one
-- nulls:  TRUE = passes, FALSE = fails, NULL = the value that it would be made on is missing; NULL does not pass
-- rule:   measurement_flow adds these counts up. They are kept by load, so that a new load is counted alone

WITH tested AS (
    SELECT
        p.chunk_id,
        p.object_id IS NOT NULL AS object_known,
        CASE WHEN p.used_in_clip IS NOT NULL THEN TRUE END AS clip_considered,
        isfinite(p.mag_psf) AS mag_finite,
        p.mag_psf > getvariable('mag_min') AND p.mag_psf < getvariable('mag_max') AS mag_range,
        isfinite(p.e_mag_psf) AS error_finite,
        p.e_mag_psf > getvariable('e_mag_min') AND p.e_mag_psf < getvariable('e_mag_max') AS error_range,
        p.flags < getvariable('flags_limit') AS flags,
        p.nimaflags < getvariable('nimaflags_limit') AS nimaflags,
        i.image_id IS NOT NULL AS image_known,
        CASE WHEN i.image_id IS NOT NULL
             THEN NOT list_contains(getvariable('image_types_refused'), coalesce(i.image_type, '')) END AS image_type,
        CASE WHEN i.night_mjd IS NOT NULL THEN TRUE END AS night_known
    FROM stg_survey__photometry AS p
    LEFT JOIN stg_survey__images AS i ON p.image_id = i.image_id
)

SELECT
    CAST(chunk_id AS INTEGER) AS chunk_id,                  -- the load that brought the rows, see meta.chunk {meta.id}
    CAST(object_known AS BOOLEAN) AS object_known,          -- merged into a survey object
    CAST(clip_considered AS BOOLEAN) AS clip_considered,    -- a candidate for the catalogue mean; NULL where it was none
    CAST(mag_finite AS BOOLEAN) AS mag_finite,              -- the magnitude is a number
    CAST(mag_range AS BOOLEAN) AS mag_range,                -- the magnitude is no sentinel
    CAST(error_finite AS BOOLEAN) AS error_finite,          -- its error is a number
    CAST(error_range AS BOOLEAN) AS error_range,            -- its error lies where errors lie
    CAST(flags AS BOOLEAN) AS flags,                        -- neither saturated nor worse
    CAST(nimaflags AS BOOLEAN) AS nimaflags,                -- few flagged pixels
    CAST(image_known AS BOOLEAN) AS image_known,            -- its exposure is in the image table
    CAST(image_type AS BOOLEAN) AS image_type,              -- its exposure is not of a refused type
    CAST(night_known AS BOOLEAN) AS night_known,            -- its exposure has a night; NULL where it has none
    CAST(count(*) AS BIGINT) AS n                           -- detections {meta.number}
FROM tested
GROUP BY ALL
