-- stg_survey__photometry: single epochs of Stripe 82 RR Lyrae in the columns of this house.
--
-- grain:  one row per epoch as received; copies are settled in measurements
-- key:    image_id, ccd, object_id (not unique: a few epochs came twice with other magnitudes)
-- scope:  chunk
-- kind:   view
-- inputs: s82.lightcurves
-- source: Sesar et al. 2010, ApJ 708, 717
-- nulls:  a missing magnitude or error stays NULL
-- rule:   an epoch of a drift scan is an exposure of its own: image_id joins its time in units of 1e-6 d, the star (below 1e7)
--         and the band's number. Every published epoch is a good detection, so used_in_clip is TRUE and the flags are 0; sentinels
--         (99.99 and the like) are left to the cuts of measurements

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                                                     -- star of the catalogue {meta.id;meta.main}
    CAST(CAST(round(time * 1e6) AS BIGINT) * 100000000 + object_id * 10 + instr('ugriz', lower(trim(band))) AS BIGINT) AS image_id,     -- epoch and band {meta.id;obs}
    CAST(0 AS SMALLINT) AS ccd,                                                                                 -- not given {meta.id;instr.det}
    CAST(lower(trim(band)) AS VARCHAR) AS filter,                                                               -- u, g, r, i or z {meta.id;instr.filter}
    CAST(mag AS DOUBLE) AS mag_psf,                                                                             -- PSF magnitude [mag] {phot.mag;em.opt}
    CAST(magerr AS DOUBLE) AS e_mag_psf,                                                                        -- its error [mag] {stat.error;phot.mag}
    CAST(0 AS INTEGER) AS flags,                                                                                -- not given {meta.code.qual}
    CAST(0 AS INTEGER) AS nimaflags,                                                                            -- not given {meta.number}
    CAST(TRUE AS BOOLEAN) AS used_in_clip,                                                                      -- every published epoch is good {meta.code.qual}
    CAST(_chunk_id AS INTEGER) AS chunk_id                                                                      -- the load that brought the row, see meta.chunk {meta.id}
FROM s82.lightcurves
