-- sequences: the Main Survey colour sequences, whole and cut short.
--
-- grain:  one row per sequence_id
-- key:    sequence_id
-- inputs: int_sequences__exposures
-- source: the order u v g r u v i z u v (SkyMapper survey page; Lucy 2021); the rule stands in int_sequences__exposures

SELECT
    CAST(sequence_id AS BIGINT) AS sequence_id,                                             -- image_id of the first exposure {meta.id;meta.main}
    CAST(min(field_id) AS BIGINT) AS field_id,                                              -- survey field {meta.id;obs.field}
    CAST(min(night_mjd) AS INTEGER) AS night_mjd,                                           -- the night's number [d] {time.epoch;obs}
    CAST(min(date) AS DOUBLE) AS date,                                                      -- start of the first exposure, MJD in UTC [d] {time.start;obs}
    CAST((max(date) - min(date)) * 1440 AS DOUBLE) AS span_min,                             -- first to last exposure start [min] {time.duration;obs}
    CAST(count(*) AS INTEGER) AS n_exposures,                                               -- exposures {meta.number}
    CAST(count(*) FILTER (WHERE filter = 'u') AS INTEGER) AS n_u,                           -- u exposures {meta.number}
    CAST(string_agg(filter, '' ORDER BY exposure) AS VARCHAR) AS filters,                   -- filters in order of time {meta.id;instr.filter}
    CAST(string_agg(filter, '' ORDER BY exposure) = 'uvgruvizuv' AS BOOLEAN) AS is_complete -- all ten exposures in their order {meta.code}
FROM int_sequences__exposures
GROUP BY sequence_id
