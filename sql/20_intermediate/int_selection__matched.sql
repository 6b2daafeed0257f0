-- int_selection__matched: every survey object with what its nearest neighbours in the other catalogues say of it.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: stg_survey__master, stg_twomass__psc, stg_gaia__source, stg_allwise__source, stg_distance__geometric
-- source: joins of the ADQL in Lucy 2021; (J-Ks)0 and M_J as recovered from the published values of 80 objects
-- nulls:  left joins: a neighbour that is not there, or whose row was not loaded, leaves its columns NULL
-- rule:   jk_mag is exact (DECIMAL), jk0_mag the DOUBLE nearest to the exact decimal number. M_J carries no extinction correction

WITH matched AS (
    SELECT
        m.*,
        t.pts_key, t.j_m, t.h_m, t.k_m, t.ph_qual, t.cc_flg, t.gal_contam, t.ext_key,
        g.source_id, g.parallax, g.parallax_error, g.pmra, g.pmdec,
        w.cntr, w.w1mpro, w.w2mpro,
        d.source_id AS distance_source_id, d.r_est, d.r_lo, d.r_hi, d.result_flag
    FROM stg_survey__master AS m
    LEFT JOIN stg_twomass__psc AS t ON m.twomass_key = t.pts_key
    LEFT JOIN stg_gaia__source AS g ON m.gaia_id1 = g.source_id
    LEFT JOIN stg_allwise__source AS w ON m.allwise_cntr = w.cntr
    LEFT JOIN stg_distance__geometric AS d ON m.gaia_id1 = d.source_id
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                     -- survey object {meta.id;meta.main}
    CAST(raj2000 AS DOUBLE) AS raj2000,                         -- mean right ascension, ICRS [deg] {pos.eq.ra;meta.main}
    CAST(dej2000 AS DOUBLE) AS dej2000,                         -- mean declination, ICRS [deg] {pos.eq.dec;meta.main}
    CAST(glon AS DOUBLE) AS glon,                               -- Galactic longitude [deg] {pos.galactic.lon}
    CAST(glat AS DOUBLE) AS glat,                               -- Galactic latitude [deg] {pos.galactic.lat}
    CAST(class_star AS FLOAT) AS class_star,                     -- greatest stellarity of all detections, 0 to 1 {src.class.starGalaxy}
    CAST(flags_psf AS INTEGER) AS flags_psf,                    -- filters whose PSF magnitude neighbours bias, bit mask {meta.code}
    CAST(nch_max AS INTEGER) AS nch_max,                        -- greatest number of child detections merged in any filter {meta.number}
    CAST(u_ngood AS INTEGER) AS u_ngood,                        -- good u observations {meta.number}
    CAST(v_ngood AS INTEGER) AS v_ngood,                        -- good v observations {meta.number}
    CAST(g_ngood AS INTEGER) AS g_ngood,                        -- good g observations {meta.number}
    CAST(u_nclip AS INTEGER) AS u_nclip,                        -- u observations clipped from the mean {meta.number}
    CAST(u_psf AS DOUBLE) AS u_psf,                             -- mean u PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(v_psf AS DOUBLE) AS v_psf,                             -- mean v PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(g_psf AS DOUBLE) AS g_psf,                             -- mean g PSF magnitude, AB [mag] {phot.mag;em.opt.B}
    CAST(ebmv_sfd AS DOUBLE) AS ebmv_sfd,                       -- E(B-V) of Schlegel et al. 1998 [mag] {phot.color.excess}
    CAST(prox AS FLOAT) AS prox,                                 -- distance to the next survey source; 15 = none within 15 [arcsec] {pos.angDistance}
    CAST(twomass_key AS BIGINT) AS twomass_key,                 -- nearest 2MASS source that the survey names {meta.id.cross}
    CAST(twomass_dist AS FLOAT) AS twomass_dist,                 -- its distance [arcsec] {pos.angDistance}
    CAST(pts_key AS BIGINT) AS pts_key,                         -- the same, NULL where its row is not in the warehouse {meta.id.cross}
    CAST(gaia_id1 AS BIGINT) AS gaia_id1,                       -- nearest Gaia source that the survey names {meta.id.cross}
    CAST(gaia_dist1 AS FLOAT) AS gaia_dist1,                     -- its distance [arcsec] {pos.angDistance}
    CAST(source_id AS BIGINT) AS source_id,                     -- the same, NULL where its row is not in the warehouse {meta.id.cross}
    CAST(allwise_cntr AS BIGINT) AS allwise_cntr,               -- nearest AllWISE source that the survey names {meta.id.cross}
    CAST(allwise_dist AS FLOAT) AS allwise_dist,                 -- its distance [arcsec] {pos.angDistance}
    CAST(cntr AS BIGINT) AS cntr,                               -- the same, NULL where its row is not in the warehouse {meta.id.cross}
    CAST(j_m AS DECIMAL(6, 3)) AS j_m,                          -- J magnitude, Vega [mag] {phot.mag;em.IR.J}
    CAST(h_m AS DECIMAL(6, 3)) AS h_m,                          -- H magnitude, Vega [mag] {phot.mag;em.IR.H}
    CAST(k_m AS DECIMAL(6, 3)) AS k_m,                          -- Ks magnitude, Vega [mag] {phot.mag;em.IR.K}
    CAST(j_m - k_m AS DECIMAL(7, 3)) AS jk_mag,                 -- J - Ks as observed [mag] {phot.color;em.IR.J;em.IR.K}
    CAST(ph_qual AS VARCHAR) AS ph_qual,                        -- 2MASS photometric quality of J, H, Ks {meta.code.qual}
    CAST(cc_flg AS VARCHAR) AS cc_flg,                          -- 2MASS contamination and confusion in J, H, Ks {meta.code.qual}
    CAST(gal_contam AS INTEGER) AS gal_contam,                  -- 2MASS contamination by an extended source {meta.code.qual}
    CAST(ext_key AS BIGINT) AS ext_key,                         -- 2MASS extended-source counterpart; NULL is none {meta.id.cross}
    CAST(w1mpro AS DOUBLE) AS w1mpro,                           -- W1 magnitude, Vega [mag] {phot.mag;em.IR.3-4um}
    CAST(w2mpro AS DOUBLE) AS w2mpro,                           -- W2 magnitude, Vega [mag] {phot.mag;em.IR.4-8um}
    CAST(parallax AS DOUBLE) AS parallax,                       -- Gaia parallax [mas] {pos.parallax}
    CAST(parallax_error AS DOUBLE) AS parallax_error,           -- its error [mas] {stat.error;pos.parallax}
    CAST(pmra AS DOUBLE) AS pmra,                               -- proper motion in right ascension times cos(dec) [mas.yr**-1] {pos.pm;pos.eq.ra}
    CAST(pmdec AS DOUBLE) AS pmdec,                             -- proper motion in declination [mas.yr**-1] {pos.pm;pos.eq.dec}
    CAST(distance_source_id AS BIGINT) AS distance_source_id,   -- Gaia source of the distance; NULL where no distance row is in the warehouse {meta.id.cross}
    CAST(result_flag AS INTEGER) AS result_flag,                -- how the distance was found: 0 failed, 1 mode, 2 median {meta.code.qual}
    CAST(r_est AS DOUBLE) AS r_est,                             -- estimated distance [pc] {pos.distance}
    CAST(r_lo AS DOUBLE) AS r_lo,                               -- lower bound of its 68 % interval [pc] {pos.distance;stat.min}
    CAST(r_hi AS DOUBLE) AS r_hi,                               -- upper bound of its 68 % interval [pc] {pos.distance;stat.max}
    CAST(CAST(j_m - k_m AS DECIMAL(12, 7)) - getvariable('extinction_jk') * CAST(ebmv_sfd AS DECIMAL(9, 4)) AS DOUBLE) AS jk0_mag, -- J - Ks corrected for reddening [mag] {phot.color;em.IR.J;em.IR.K}
    CAST(CASE WHEN r_est > 0 THEN CAST(j_m AS DOUBLE) - 5 * log10(r_est / 10) END AS DOUBLE) AS abs_j_mag -- absolute J magnitude, no extinction correction [mag] {phys.magAbs;em.IR.J}
FROM matched
