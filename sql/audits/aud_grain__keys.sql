-- aud_grain__keys: every table holds one row per key, and no key is NULL.
-- severity: error
-- inputs: int_selection__matched, int_selection__cuts, int_sequences__exposures, int_density__points, sample, sequences, measurements, nightly_colours, colours, rapid_variability, density_score, candidates, int_rapid__sequences, int_effective__bins, effective_sigma, int_candidates__cautions, int_photometry__brightest, int_reddening__zero_points, known_recovery, followup

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
SELECT 'measurements', concat_ws('/', object_id, image_id), count(*) FROM measurements GROUP BY object_id, image_id HAVING count(*) > 1 OR object_id IS NULL OR image_id IS NULL
UNION ALL
SELECT 'nightly_colours', concat_ws('/', object_id, night_mjd), count(*) FROM nightly_colours GROUP BY object_id, night_mjd HAVING count(*) > 1 OR object_id IS NULL OR night_mjd IS NULL
UNION ALL
SELECT 'colours', concat_ws('/', object_id), count(*) FROM colours GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'rapid_variability', concat_ws('/', object_id), count(*) FROM rapid_variability GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'density_score', concat_ws('/', object_id), count(*) FROM density_score GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'candidates', concat_ws('/', object_id), count(*) FROM candidates GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_rapid__sequences', concat_ws('/', object_id, sequence_id), count(*) FROM int_rapid__sequences GROUP BY object_id, sequence_id HAVING count(*) > 1 OR object_id IS NULL OR sequence_id IS NULL
UNION ALL
SELECT 'int_effective__bins', concat_ws('/', object_id), count(*) FROM int_effective__bins GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'effective_sigma', concat_ws('/', object_id), count(*) FROM effective_sigma GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_candidates__cautions', concat_ws('/', object_id), count(*) FROM int_candidates__cautions GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_photometry__brightest', concat_ws('/', object_id), count(*) FROM int_photometry__brightest GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_reddening__zero_points', concat_ws('/', object_id), count(*) FROM int_reddening__zero_points GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'known_recovery', concat_ws('/', object_id), count(*) FROM known_recovery GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'followup', concat_ws('/', object_id), count(*) FROM followup GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
