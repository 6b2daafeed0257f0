-- aud_grain__outliers: the tables that hold objects against each other have one row per object, and no key is NULL.
-- severity: error
-- inputs: int_density__points, density_score, candidates, int_effective__bins, effective_sigma, int_candidates__cautions, known_recovery

SELECT 'int_density__points' AS model, concat_ws('/', object_id) AS key, count(*) AS n FROM int_density__points GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'density_score', concat_ws('/', object_id), count(*) FROM density_score GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'candidates', concat_ws('/', object_id), count(*) FROM candidates GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_effective__bins', concat_ws('/', object_id), count(*) FROM int_effective__bins GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'effective_sigma', concat_ws('/', object_id), count(*) FROM effective_sigma GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_candidates__cautions', concat_ws('/', object_id), count(*) FROM int_candidates__cautions GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'known_recovery', concat_ws('/', object_id), count(*) FROM known_recovery GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
