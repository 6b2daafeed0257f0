-- aud_grain__measurements: every table of measurements, and of what is made of them, holds one row per key, and no key is NULL.
-- severity: error
-- scope: object
-- inputs: measurements, nightly_colours, colours, rapid_variability, int_rapid__sequences, int_photometry__brightest

SELECT 'measurements' AS model, concat_ws('/', object_id, image_id) AS key, count(*) AS n FROM measurements GROUP BY object_id, image_id HAVING count(*) > 1 OR object_id IS NULL OR image_id IS NULL
UNION ALL
SELECT 'nightly_colours', concat_ws('/', object_id, night_mjd), count(*) FROM nightly_colours GROUP BY object_id, night_mjd HAVING count(*) > 1 OR object_id IS NULL OR night_mjd IS NULL
UNION ALL
SELECT 'colours', concat_ws('/', object_id), count(*) FROM colours GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'rapid_variability', concat_ws('/', object_id), count(*) FROM rapid_variability GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
UNION ALL
SELECT 'int_rapid__sequences', concat_ws('/', object_id, sequence_id), count(*) FROM int_rapid__sequences GROUP BY object_id, sequence_id HAVING count(*) > 1 OR object_id IS NULL OR sequence_id IS NULL
UNION ALL
SELECT 'int_photometry__brightest', concat_ws('/', object_id), count(*) FROM int_photometry__brightest GROUP BY object_id HAVING count(*) > 1 OR object_id IS NULL
