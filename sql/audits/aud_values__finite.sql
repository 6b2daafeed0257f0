-- aud_values__finite: no NaN and no infinity stands in what is made of one object's rows.
-- severity: error
-- scope: object
-- inputs: sample, measurements, nightly_colours, colours, rapid_variability

SELECT 'sample' AS model, object_id FROM sample WHERE NOT (isfinite(jk0_mag) AND isfinite(abs_j_mag) AND isfinite(r_est))
UNION ALL
SELECT 'measurements', object_id FROM measurements WHERE NOT (isfinite(mag_psf) AND isfinite(e_mag_psf) AND isfinite(date))
UNION ALL
SELECT 'nightly_colours', object_id FROM nightly_colours WHERE NOT (isfinite(coalesce(ug_mag, 0)) AND isfinite(coalesce(uv_mag, 0)) AND isfinite(coalesce(ug_var, 0)) AND isfinite(coalesce(uv_var, 0)))
UNION ALL
SELECT 'colours', object_id FROM colours WHERE NOT (isfinite(coalesce(ug_mag, 0)) AND isfinite(coalesce(uv_mag, 0)) AND isfinite(coalesce(ug_err, 0)) AND isfinite(coalesce(uv_err, 0)))
UNION ALL
SELECT 'rapid_variability', object_id FROM rapid_variability WHERE NOT (isfinite(rapid_u_sigma) AND isfinite(rapid_u_sigma_floored) AND isfinite(delta_u_mag))
