-- aud_grain__keys: every table of the catalogue and of exposures holds one row per key, and no key is NULL.
-- severity: error
-- inputs: int_selection__matched, int_selection__cuts, int_sequences__exposures, sample, sequences, int_reddening__zero_points, followup, flickering

SELECT 'int_selection__matched' AS model, concat_ws('/', object_id) AS key, count(*) AS n FROM int_selection__matched GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_selection__cuts', concat_ws('/', object_id), count(*) FROM int_selection__cuts GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_sequences__exposures', concat_ws('/', image_id), count(*) FROM int_sequences__exposures GROUP BY image_id HAVING count(*) > 1 OR image_id IS NULL
UNION ALL
SELECT 'sample', concat_ws('/', object_id), count(*) FROM sample GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'sequences', concat_ws('/', sequence_id), count(*) FROM sequences GROUP BY sequence_id HAVING count(*) > 1 OR sequence_id IS NULL
UNION ALL
SELECT 'int_reddening__zero_points', concat_ws('/', object_id), count(*) FROM int_reddening__zero_points GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'followup', concat_ws('/', object_id), count(*) FROM followup GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'flickering', concat_ws('/', object_id, sector), count(*) FROM flickering GROUP BY object_id, sector HAVING count(*) > 1 OR object_id IS NULL OR sector IS NULL
