-- aud_grain__keys: every table of the catalogue, of exposures and of outliers holds one row per key, and no key is NULL.
-- severity: error
-- inputs: int_selection__matched, int_selection__cuts, int_sequences__exposures, int_density__points, sample, sequences, density_score, candidates

SELECT 'int_selection__matched' AS model, concat_ws('/', object_id) AS key, count(*) AS n FROM int_selection__matched GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_selection__cuts', concat_ws('/', object_id), count(*) FROM int_selection__cuts GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_sequences__exposures', concat_ws('/', image_id), count(*) FROM int_sequences__exposures GROUP BY image_id HAVING count(*) > 1 OR image_id IS NULL
UNION ALL
SELECT 'int_density__points', concat_ws('/', object_id), count(*) FROM int_density__points GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'sample', concat_ws('/', object_id), count(*) FROM sample GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'sequences', concat_ws('/', sequence_id), count(*) FROM sequences GROUP BY sequence_id HAVING count(*) > 1 OR sequence_id IS NULL
UNION ALL
SELECT 'density_score', concat_ws('/', object_id), count(*) FROM density_score GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'candidates', concat_ws('/', object_id), count(*) FROM candidates GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
