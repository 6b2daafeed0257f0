-- aud_photometry__decimals: magnitude errors carry the four decimals that the archive prints, so that rounding a 32-bit float gives them back.
-- severity: warn
-- inputs: dr4.photometry

SELECT object_id, image_id, e_mag_psf
FROM dr4.photometry
WHERE isfinite(e_mag_psf)
  AND e_mag_psf BETWEEN 0 AND 1
  AND abs(CAST(e_mag_psf AS DOUBLE) - round(CAST(e_mag_psf AS DOUBLE), 4)) > 1e-7
