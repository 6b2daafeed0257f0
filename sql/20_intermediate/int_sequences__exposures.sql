-- int_sequences__exposures: which exposures make up one Main Survey colour sequence.
--
-- grain:  one row per image_id that belongs to a sequence
-- key:    image_id
-- inputs: stg_survey__images
-- source: the order u v g r u v i z u v of 100 s exposures, start to start 120 s (SkyMapper survey page; Lucy 2021)
-- nulls:  exposures without a field or a date belong to no sequence
-- rule:   the exposures of one field in order of time; a new sequence begins
--         (1) after a pause longer than sequence_gap_min_max,
--         (2) at a u that directly follows a v: inside a sequence u follows r or z, so this one is the next sequence's first,
--         (3) at a u that v and g directly follow: only a sequence's first u is followed so (it was broken off and begun anew);
--             but not where v, i and z came directly before: that is the third u, and the g is another visit's, unless the
--             whole beginning v g r u v i directly follows,
--         (4) after sequence_exposures_max exposures: what follows without a pause is another visit.
--         Time alone decides, never the date or the night, so a sequence may run across 0 h UT. A sequence cut short keeps
--         the exposures that it has; groups without any u exposure (pairs in g, r or i, z) are no colour sequences.
--         sequence_id is the image_id of the first exposure, so it stays the same when images are added

WITH main_exposures AS (
    SELECT image_id, field_id, night_mjd, date, filter
    FROM stg_survey__images
    WHERE list_contains(getvariable('sequence_image_types'), image_type)
      AND (exp_time IS NULL OR exp_time <= getvariable('sequence_exp_time_s_max'))
      AND field_id IS NOT NULL
      AND isfinite(date)
),

with_neighbours AS (
    SELECT
        *,
        lag(filter) OVER in_field AS previous_filter,
        (date - lag(date) OVER in_field) * 1440 AS since_previous_min,
        lag(filter, 3) OVER in_field || lag(filter, 2) OVER in_field || lag(filter, 1) OVER in_field AS previous_three,
        (date - lag(date, 3) OVER in_field) * 1440 AS since_third_previous_min,
        lead(filter, 1) OVER in_field || lead(filter, 2) OVER in_field || lead(filter, 3) OVER in_field
            || lead(filter, 4) OVER in_field || lead(filter, 5) OVER in_field || lead(filter, 6) OVER in_field AS next_six,
        (lead(date, 6) OVER in_field - date) * 1440 AS to_sixth_next_min,
        lead(filter, 1) OVER in_field AS next_filter,
        lead(filter, 2) OVER in_field AS second_next_filter,
        (lead(date, 1) OVER in_field - date) * 1440 AS to_next_min,
        (lead(date, 2) OVER in_field - lead(date, 1) OVER in_field) * 1440 AS next_to_second_min
    FROM main_exposures
    WINDOW in_field AS (PARTITION BY field_id ORDER BY date, image_id)
),

with_starts AS (
    SELECT
        *,
        since_previous_min IS NULL
        OR since_previous_min > getvariable('sequence_gap_min_max')
        OR (
            filter = 'u' AND previous_filter = 'v'
            AND since_previous_min <= getvariable('sequence_adjacent_min_max')
        )
        OR coalesce(
            filter = 'u' AND next_filter = 'v' AND second_next_filter = 'g'
            AND to_next_min <= getvariable('sequence_adjacent_min_max')
            AND next_to_second_min <= getvariable('sequence_adjacent_min_max')
            AND NOT coalesce(
                previous_three = 'viz'
                AND since_previous_min <= getvariable('sequence_adjacent_min_max')
                AND since_third_previous_min <= 3 * getvariable('sequence_adjacent_min_max')
                AND NOT coalesce(
                    next_six = 'vgruvi' AND to_sixth_next_min <= 6 * getvariable('sequence_adjacent_min_max'), FALSE
                ), FALSE
            ), FALSE
        ) AS is_start
    FROM with_neighbours
),

visits AS (
    SELECT *, sum(CASE WHEN is_start THEN 1 ELSE 0 END) OVER (PARTITION BY field_id ORDER BY date, image_id) AS visit
    FROM with_starts
),

numbered AS (
    SELECT *, row_number() OVER (PARTITION BY field_id, visit ORDER BY date, image_id) AS visit_exposure
    FROM visits
),

parts AS (
    SELECT *, (visit_exposure - 1) // getvariable('sequence_exposures_max') AS part
    FROM numbered
),

sequences_of_images AS (
    SELECT
        image_id, field_id, night_mjd, date, filter,
        first_value(image_id) OVER in_sequence AS sequence_id,
        row_number() OVER in_sequence AS exposure,
        count(*) FILTER (WHERE filter = 'u') OVER (PARTITION BY field_id, visit, part) AS n_u
    FROM parts
    WINDOW in_sequence AS (PARTITION BY field_id, visit, part ORDER BY date, image_id)
)

SELECT
    CAST(image_id AS BIGINT) AS image_id,           -- exposure {meta.id;meta.main}
    CAST(sequence_id AS BIGINT) AS sequence_id,     -- its sequence: image_id of the first exposure {meta.id;obs.sequence}
    CAST(exposure AS INTEGER) AS exposure,          -- place in the sequence, from 1 {meta.number}
    CAST(field_id AS BIGINT) AS field_id,           -- survey field {meta.id;obs.field}
    CAST(night_mjd AS INTEGER) AS night_mjd,        -- the night's number [d] {time.epoch;obs}
    CAST(date AS DOUBLE) AS date,                   -- start of the exposure, MJD in UTC [d] {time.start;obs.exposure}
    CAST(filter AS VARCHAR) AS filter               -- u, v, g, r, i or z {meta.id;instr.filter}
FROM sequences_of_images
WHERE n_u >= 1
