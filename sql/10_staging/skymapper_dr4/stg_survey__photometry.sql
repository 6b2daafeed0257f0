-- stg_survey__photometry: single detections of the survey, as they came, with clean names and the archive's own decimals.
--
-- grain:  one row per detection as received; copies are settled in measurements
-- key:    image_id, ccd, object_id (not unique: overlapping cones bring copies)
-- scope:  chunk
-- kind:   view
-- inputs: dr4.photometry
-- source: SkyMapper DR4 table dr4.photometry
-- nulls:  object_id is NULL where the survey merged the detection into no object; used_in_clip, here use_in_clipped, is TRUE where the detection
--         entered the catalogue mean, FALSE where it was good but clipped from it, NULL where it was never considered
-- rule:   DR2 prints mag_psf with 6 decimals and e_mag_psf with 4 and keeps both as 32-bit floats; rounding the floats gives the
--         printed numbers back. That DR4 does so too is not confirmed: aud_photometry__decimals looks. img_qual is left out, since
--         its values are not known. floor(x * 1e6 + 0.5) / 1e6 is round(x, 6) for what is not negative, and four
--         times as fast; the same goes for a filter that is looked up before it is trimmed

SELECT
    CAST(object_id AS BIGINT) AS object_id,                           -- object that the detection was merged into {meta.id;meta.main}
    CAST(image_id AS BIGINT) AS image_id,                             -- exposure: UT of its start as YYYYMMDDhhmmss {meta.id;obs}
    CAST(ccd AS SMALLINT) AS ccd,                                     -- CCD of the mosaic, 1 to 32 {meta.id;instr.det}
    CAST(CASE WHEN filter IN ('u', 'v', 'g', 'r', 'i', 'z') THEN filter ELSE lower(trim(filter)) END AS VARCHAR) AS filter, -- u, v, g, r, i or z {meta.id;instr.filter}
    CAST(floor(CAST(mag_psf AS DOUBLE) * 1e6 + 0.5e0) / 1e6 AS DOUBLE) AS mag_psf,     -- PSF magnitude, AB [mag] {phot.mag;em.opt}
    CAST(floor(CAST(e_mag_psf AS DOUBLE) * 1e4 + 0.5e0) / 1e4 AS DOUBLE) AS e_mag_psf, -- its error as the archive gives it [mag] {stat.error;phot.mag}
    CAST(flags AS INTEGER) AS flags,                                  -- SExtractor flags, bit mask {meta.code.qual}
    CAST(nimaflags AS INTEGER) AS nimaflags,                          -- flagged pixels in the aperture {meta.number}
    CAST(use_in_clipped AS BOOLEAN) AS used_in_clip,                  -- TRUE in the mean, FALSE clipped from it, NULL not considered {meta.code.qual}
    CAST(_chunk_id AS INTEGER) AS chunk_id                            -- the load that brought the row, see meta.chunk {meta.id}
FROM dr4.photometry
