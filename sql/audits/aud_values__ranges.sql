-- aud_values__ranges: results lie where they can: coordinates on the sky, errors above zero, nights and colours together or not at all.
-- severity: error
-- scope: object
-- inputs: sample, nightly_colours, colours, rapid_variability

SELECT 'sample' AS model, object_id, 'position' AS what FROM sample WHERE raj2000 NOT BETWEEN 0 AND 360 OR dej2000 NOT BETWEEN -90 AND 90
UNION ALL
SELECT 'nightly_colours', object_id, 'variance' FROM nightly_colours WHERE ug_var <= 0 OR uv_var <= 0
UNION ALL
SELECT 'nightly_colours', object_id, 'colour without its bands' FROM nightly_colours WHERE (ug_mag IS NULL) <> (n_u = 0 OR n_g = 0) OR (uv_mag IS NULL) <> (n_u = 0 OR n_v = 0)
UNION ALL
SELECT 'colours', object_id, 'error' FROM colours WHERE ug_err <= 0 OR uv_err <= 0
UNION ALL
SELECT 'colours', object_id, 'colour without a night' FROM colours WHERE (ug_mag IS NULL) <> (n_nights_ug = 0) OR (uv_mag IS NULL) <> (n_nights_uv = 0)
UNION ALL
SELECT 'rapid_variability', object_id, 'statistic' FROM rapid_variability WHERE rapid_u_sigma < 0 OR rapid_u_sigma_floored > rapid_u_sigma OR n_sequences < 1 OR n_u < 2 OR image_id_i = image_id_j
