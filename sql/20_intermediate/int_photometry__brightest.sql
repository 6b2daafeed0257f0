-- int_photometry__brightest: how bright an object was at most in exposures that saturate early.
--
-- grain:  one row per object_id measured in u, v or g in a Main Survey exposure
-- key:    object_id
-- scope:  object
-- inputs: measurements
-- source: saturation of single Main Survey exposures: u 10.0, v 10.5, g 13.0 (survey page)
-- nulls:  a band that was not measured is NULL

SELECT
    CAST(object_id AS BIGINT) AS object_id,                             -- survey object {meta.id;meta.main}
    CAST(min(mag_psf) FILTER (WHERE filter = 'u') AS DOUBLE) AS u_mag,  -- brightest u, AB [mag] {phot.mag;em.opt.U;stat.min}
    CAST(min(mag_psf) FILTER (WHERE filter = 'v') AS DOUBLE) AS v_mag,  -- brightest v, AB [mag] {phot.mag;em.opt.U;stat.min}
    CAST(min(mag_psf) FILTER (WHERE filter = 'g') AS DOUBLE) AS g_mag   -- brightest g, AB [mag] {phot.mag;em.opt.B;stat.min}
FROM measurements
WHERE list_contains(getvariable('sequence_image_types'), image_type)
  AND filter IN ('u', 'v', 'g')
GROUP BY object_id
