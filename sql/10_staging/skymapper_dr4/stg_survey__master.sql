-- stg_survey__master: the survey's objects, one row each, with its nearest external neighbours.
--
-- grain:  one row per object_id
-- key:    object_id
-- kind:   view
-- inputs: dr4.master
-- source: SkyMapper DR4 table dr4.master
-- nulls:  a key and its distance are NULL where the survey found no neighbour within 15 arcsec; prox is 15 where there is
--         no other source within 15 arcsec, which DR4 says by a NULL self_dist1 (not confirmed; aud_master__neighbours looks).
--         nch_max is NULL: DR4 does not count child sources, so that single_child is in cuts_not_available
-- rule:   a row that came twice (borders of tiles, repeated parts) is kept once, the first in the order given below;
--         E(B-V) is rounded to the four decimals that the archive prints, so that (J-Ks)0 is made of the printed number

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                 -- global unique object id of the survey {meta.id;meta.main}
    CAST(raj2000 AS DOUBLE) AS raj2000,                                     -- mean right ascension, ICRS [deg] {pos.eq.ra;meta.main}
    CAST(dej2000 AS DOUBLE) AS dej2000,                                     -- mean declination, ICRS [deg] {pos.eq.dec;meta.main}
    CAST(glon AS DOUBLE) AS glon,                                           -- Galactic longitude [deg] {pos.galactic.lon}
    CAST(glat AS DOUBLE) AS glat,                                           -- Galactic latitude [deg] {pos.galactic.lat}
    CAST(class_star AS FLOAT) AS class_star,                                 -- greatest stellarity of all detections, 0 to 1 {src.class.starGalaxy}
    CAST(flags_psf AS INTEGER) AS flags_psf,                                -- filters whose PSF magnitude neighbours bias by more than 1 %, bit mask {meta.code}
    CAST(NULL AS INTEGER) AS nch_max,                                       -- greatest number of child detections merged in any filter; not in DR4 {meta.number}
    CAST(u_ngood AS INTEGER) AS u_ngood,                                    -- good u observations {meta.number}
    CAST(v_ngood AS INTEGER) AS v_ngood,                                    -- good v observations {meta.number}
    CAST(g_ngood AS INTEGER) AS g_ngood,                                    -- good g observations {meta.number}
    CAST(u_nclip AS INTEGER) AS u_nclip,                                    -- u observations clipped from the mean {meta.number}
    CAST(v_nclip AS INTEGER) AS v_nclip,                                    -- v observations clipped from the mean {meta.number}
    CAST(g_nclip AS INTEGER) AS g_nclip,                                    -- g observations clipped from the mean {meta.number}
    CAST(u_psf AS DOUBLE) AS u_psf,                                         -- mean u PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(e_u_psf AS DOUBLE) AS e_u_psf,                                     -- its error [mag] {stat.error;phot.mag;em.opt.U}
    CAST(v_psf AS DOUBLE) AS v_psf,                                         -- mean v PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(e_v_psf AS DOUBLE) AS e_v_psf,                                     -- its error [mag] {stat.error;phot.mag;em.opt.U}
    CAST(g_psf AS DOUBLE) AS g_psf,                                         -- mean g PSF magnitude, AB [mag] {phot.mag;em.opt.B}
    CAST(e_g_psf AS DOUBLE) AS e_g_psf,                                     -- its error [mag] {stat.error;phot.mag;em.opt.B}
    CAST(round(CAST(ebmv_sfd AS DOUBLE), 4) AS DOUBLE) AS ebmv_sfd,         -- E(B-V) of Schlegel et al. 1998 [mag] {phot.color.excess}
    CAST(coalesce(self_dist1, 15) AS FLOAT) AS prox,                        -- distance to the next survey source; 15 = none within 15 [arcsec] {pos.angDistance}
    CAST(twomass_key AS BIGINT) AS twomass_key,                             -- pts_key of the nearest 2MASS PSC source {meta.id.cross}
    CAST(twomass_dist AS FLOAT) AS twomass_dist,                                 -- its distance [arcsec] {pos.angDistance}
    CAST(allwise_cntr AS BIGINT) AS allwise_cntr,                           -- cntr of the nearest AllWISE source {meta.id.cross}
    CAST(allwise_dist AS FLOAT) AS allwise_dist,                                 -- its distance [arcsec] {pos.angDistance}
    CAST(gaia_dr3_id1 AS BIGINT) AS gaia_id1,                               -- source_id of the nearest Gaia DR3 source {meta.id.cross}
    CAST(gaia_dr3_dist1 AS FLOAT) AS gaia_dist1                                  -- its distance [arcsec] {pos.angDistance}
FROM dr4.master
WHERE object_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY object_id
    ORDER BY
        raj2000, dej2000, twomass_key, gaia_dr3_id1, allwise_cntr, self_dist1, u_psf, v_psf, g_psf, twomass_dist, gaia_dr3_dist1,
        allwise_dist, class_star, flags_psf, u_ngood, v_ngood, g_ngood, u_nclip, v_nclip, g_nclip, e_u_psf, e_v_psf,
        e_g_psf, ebmv_sfd, glon, glat, _chunk_id
) = 1
