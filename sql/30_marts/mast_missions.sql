-- mast_missions: for each candidate and mission whether the space archive MAST has observations, how many, how long and when.
--
-- grain:  one row per object_id of the candidates and mission
-- key:    object_id, mission
-- inputs: candidates, stg_mast__observations, mast_observation
-- source: MAST
-- nulls:  numbers are NULL where the candidate was never asked about, 0 where MAST has nothing. exposure_s is NULL where no observation
--         tells its exposure; first_mjd and last_mjd where none tells its time
-- rule:   the missions of mast_missions have a row for each candidate, others where they have an observation. Calibrations and planned
--         observations do not count. Exposures are summed in whole milliseconds

WITH asked AS (
    SELECT DISTINCT object_id FROM stg_mast__observations
),

summed AS (
    SELECT
        object_id, mission,
        count(*) AS n_observations,
        sum(CAST(round(exposure_s * 1000) AS HUGEINT)) AS exposure_ms,
        min(t_min_mjd) AS first_mjd,
        max(t_max_mjd) AS last_mjd,
        bool_or(has_cloud_copy) AS has_cloud_copy
    FROM mast_observation
    WHERE NOT is_calibration AND calib_level IS DISTINCT FROM -1
    GROUP BY object_id, mission
),

listed AS (
    SELECT object_id, unnest(getvariable('mast_missions')) AS mission FROM candidates
    UNION
    SELECT object_id, mission FROM summed
)

SELECT
    CAST(l.object_id AS BIGINT) AS object_id,                   -- survey object {meta.id;meta.main}
    CAST(l.mission AS VARCHAR) AS mission,                      -- mission, of Swift with its instrument {meta.id;obs}
    CAST(CASE WHEN a.object_id IS NULL THEN 'not asked'
              WHEN s.object_id IS NULL THEN 'none'
              ELSE 'matched' END AS VARCHAR) AS state,          -- matched, none (asked, MAST has nothing) or not asked {meta.code}
    CAST(CASE WHEN a.object_id IS NOT NULL THEN coalesce(s.n_observations, 0) END AS INTEGER) AS n_observations, -- observations {meta.number;obs}
    CAST(CASE WHEN a.object_id IS NOT NULL AND s.object_id IS NULL THEN 0 ELSE CAST(s.exposure_ms AS DOUBLE) / 1000 END AS DOUBLE) AS exposure_s, -- their exposures added; of a time series those of one cadence each [s] {time.duration;obs.exposure}
    CAST(s.first_mjd AS DOUBLE) AS first_mjd,                   -- start of the first, MJD [d] {time.start;obs.exposure}
    CAST(s.last_mjd AS DOUBLE) AS last_mjd,                     -- end of the last, MJD [d] {time.end;obs.exposure}
    CAST(s.has_cloud_copy AS BOOLEAN) AS has_cloud_copy         -- TRUE if MAST keeps them in its public bucket too; NULL without any {meta.code}
FROM listed AS l
LEFT JOIN asked AS a ON l.object_id = a.object_id
LEFT JOIN summed AS s ON l.object_id = s.object_id AND l.mission = s.mission
