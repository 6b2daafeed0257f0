-- aud_mast__keys: an observation of MAST is told once a candidate, and so is a mission.
-- severity: error
-- inputs: mast_observation, mast_missions

SELECT 'mast_observation' AS model, concat_ws('/', object_id, obsid) AS key, count(*) AS n FROM mast_observation GROUP BY object_id, obsid HAVING count(*) > 1 OR object_id IS NULL OR obsid IS NULL
UNION ALL
SELECT 'mast_missions', concat_ws('/', object_id, mission), count(*) FROM mast_missions GROUP BY object_id, mission HAVING count(*) > 1 OR object_id IS NULL OR mission IS NULL
