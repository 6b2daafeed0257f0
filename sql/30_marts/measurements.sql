-- measurements: the single detections that count, each with its exposure's time and sequence.
--
-- grain:  one row per object_id and image_id
-- key:    object_id, image_id
-- scope:  object
-- inputs: stg_survey__photometry, stg_survey__images, int_sequences__exposures
-- broadcast: stg_survey__images, int_sequences__exposures
-- source: used_in_clip TRUE or FALSE, not null (Lucy 2021); flags and nimaflags: the survey's criterion for a good detection
-- nulls:  sequence_id is NULL outside Main Survey colour sequences
-- rule:   of several rows of one object in one exposure (copies from overlapping cones, split detections) that pass the cuts,
--         one is kept: a detection that entered the catalogue mean before one that was clipped, then the smaller error,
--         then the brighter, then the lower CCD number. measurement_flow counts what each cut takes

WITH considered AS NOT MATERIALIZED (                                                           -- reading it again costs less than keeping it
    SELECT object_id, image_id, ccd, filter, mag_psf, e_mag_psf, flags, nimaflags, used_in_clip, chunk_id
    FROM stg_survey__photometry
    WHERE object_id IS NOT NULL                                                                  -- merged into a survey object
      AND used_in_clip IS NOT NULL                                                               -- a candidate for the mean; clipped points (FALSE) are the flares and flickers
      AND isfinite(mag_psf)                                                                      -- NULL, NaN and infinity are no magnitudes
      AND mag_psf > getvariable('mag_min') AND mag_psf < getvariable('mag_max')                  -- sentinels such as -99 and 99
      AND isfinite(e_mag_psf)                                                                    -- no error, no weight
      AND e_mag_psf > getvariable('e_mag_min') AND e_mag_psf < getvariable('e_mag_max')          -- zero would weigh without bound
      AND flags < getvariable('flags_limit')                                                     -- saturated or worse
      AND nimaflags < getvariable('nimaflags_limit')                                             -- too many flagged pixels
),

crowded AS (
    SELECT object_id, image_id
    FROM considered
    GROUP BY object_id, image_id
    HAVING count(*) > 1
),

one_per_image AS (
    SELECT c.*
    FROM considered AS c
    ANTI JOIN crowded AS k ON c.object_id = k.object_id AND c.image_id = k.image_id
    UNION ALL
    SELECT c.*
    FROM considered AS c
    SEMI JOIN crowded AS k ON c.object_id = k.object_id AND c.image_id = k.image_id
    QUALIFY row_number() OVER (
        PARTITION BY c.object_id, c.image_id
        ORDER BY c.used_in_clip DESC, c.e_mag_psf, c.mag_psf, c.ccd, c.flags, c.nimaflags, c.filter, c.chunk_id
    ) = 1
),

placed AS (
    SELECT c.*, i.night_mjd, i.date, i.exp_time, i.image_type, e.sequence_id
    FROM one_per_image AS c
    JOIN stg_survey__images AS i ON c.image_id = i.image_id                                      -- an exposure that is not in the image table has no time
    LEFT JOIN int_sequences__exposures AS e ON c.image_id = e.image_id
    WHERE NOT list_contains(getvariable('image_types_refused'), coalesce(i.image_type, ''))      -- exposures that the survey calls bad
      AND i.night_mjd IS NOT NULL                                                                -- no night, no snapshot
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,             -- survey object {meta.id;meta.main}
    CAST(image_id AS BIGINT) AS image_id,               -- exposure: UT of its start as YYYYMMDDhhmmss {meta.id;obs}
    CAST(filter AS VARCHAR) AS filter,                  -- u, v, g, r, i or z {meta.id;instr.filter}
    CAST(mag_psf AS DOUBLE) AS mag_psf,                 -- PSF magnitude, AB [mag] {phot.mag;em.opt}
    CAST(e_mag_psf AS DOUBLE) AS e_mag_psf,             -- its error as the archive gives it [mag] {stat.error;phot.mag}
    CAST(night_mjd AS INTEGER) AS night_mjd,            -- the night's number [d] {time.epoch;obs}
    CAST(date AS DOUBLE) AS date,                       -- start of the exposure, MJD in UTC [d] {time.start;obs.exposure}
    CAST(exp_time AS DOUBLE) AS exp_time,               -- exposure time [s] {time.duration;obs.exposure}
    CAST(image_type AS VARCHAR) AS image_type,          -- fs Shallow Survey, ms Main Survey, std standard field {meta.code.class;obs}
    CAST(sequence_id AS BIGINT) AS sequence_id,         -- Main Survey colour sequence: image_id of its first exposure {meta.id;obs.sequence}
    CAST(used_in_clip AS BOOLEAN) AS used_in_clip,      -- TRUE in the catalogue mean, FALSE clipped from it {meta.code.qual}
    CAST(ccd AS SMALLINT) AS ccd,                       -- CCD of the mosaic {meta.id;instr.det}
    CAST(chunk_id AS INTEGER) AS chunk_id               -- the load that brought the row, see meta.chunk {meta.id}
FROM placed
