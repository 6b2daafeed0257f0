-- stg_survey__master: the RR Lyrae stars of Stripe 82, one row each.
--
-- grain:  one row per object_id
-- key:    object_id
-- kind:   view
-- inputs: s82.periods
-- source: Sesar et al. 2010, ApJ 708, 717
-- nulls:  the catalogue has light curves and periods only, so everything that the selection of red giants asks is NULL: every cut is
--         missing, and sample is empty for this release

SELECT
    CAST(object_id AS BIGINT) AS object_id,     -- global unique object id of the survey {meta.id;meta.main}
    CAST(NULL AS DOUBLE) AS raj2000,            -- mean right ascension, ICRS [deg] {pos.eq.ra;meta.main}
    CAST(NULL AS DOUBLE) AS dej2000,            -- mean declination, ICRS [deg] {pos.eq.dec;meta.main}
    CAST(NULL AS DOUBLE) AS glon,               -- Galactic longitude [deg] {pos.galactic.lon}
    CAST(NULL AS DOUBLE) AS glat,               -- Galactic latitude [deg] {pos.galactic.lat}
    CAST(NULL AS FLOAT) AS class_star,         -- greatest stellarity of all detections, 0 to 1 {src.class.starGalaxy}
    CAST(NULL AS INTEGER) AS flags_psf,         -- filters whose PSF magnitude neighbours bias by more than 1 %, bit mask {meta.code}
    CAST(NULL AS INTEGER) AS nch_max,           -- greatest number of child detections merged in any filter {meta.number}
    CAST(NULL AS INTEGER) AS u_ngood,           -- good u observations {meta.number}
    CAST(NULL AS INTEGER) AS v_ngood,           -- good v observations {meta.number}
    CAST(NULL AS INTEGER) AS g_ngood,           -- good g observations {meta.number}
    CAST(NULL AS INTEGER) AS u_nclip,           -- u observations clipped from the mean {meta.number}
    CAST(NULL AS INTEGER) AS v_nclip,           -- v observations clipped from the mean {meta.number}
    CAST(NULL AS INTEGER) AS g_nclip,           -- g observations clipped from the mean {meta.number}
    CAST(NULL AS DOUBLE) AS u_psf,              -- mean u PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(NULL AS DOUBLE) AS e_u_psf,            -- its error [mag] {stat.error;phot.mag;em.opt.U}
    CAST(NULL AS DOUBLE) AS v_psf,              -- mean v PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(NULL AS DOUBLE) AS e_v_psf,            -- its error [mag] {stat.error;phot.mag;em.opt.U}
    CAST(NULL AS DOUBLE) AS g_psf,              -- mean g PSF magnitude, AB [mag] {phot.mag;em.opt.B}
    CAST(NULL AS DOUBLE) AS e_g_psf,            -- its error [mag] {stat.error;phot.mag;em.opt.B}
    CAST(NULL AS DOUBLE) AS ebmv_sfd,           -- E(B-V) of Schlegel et al. 1998 [mag] {phot.color.excess}
    CAST(NULL AS FLOAT) AS prox,               -- distance to the next survey source; 15 = none within 15 [arcsec] {pos.angDistance}
    CAST(NULL AS BIGINT) AS twomass_key,        -- pts_key of the nearest 2MASS PSC source {meta.id.cross}
    CAST(NULL AS FLOAT) AS twomass_dist,       -- its distance [arcsec] {pos.angDistance}
    CAST(NULL AS BIGINT) AS allwise_cntr,       -- cntr of the nearest AllWISE source {meta.id.cross}
    CAST(NULL AS FLOAT) AS allwise_dist,       -- its distance [arcsec] {pos.angDistance}
    CAST(NULL AS BIGINT) AS gaia_id1,           -- source_id of the nearest Gaia DR2 source {meta.id.cross}
    CAST(NULL AS FLOAT) AS gaia_dist1          -- its distance [arcsec] {pos.angDistance}
FROM s82.periods
WHERE object_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY object_id ORDER BY period, _chunk_id) = 1
