-- int_selection__cuts: each cut of the selection as a named yes or no for every object.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: int_selection__matched
-- source: Lucy 2021, ADQL and slide "building a sample of luminous red objects"
-- nulls:  TRUE = passes, FALSE = fails, NULL = the value that it would be made on is missing; NULL does not pass
-- rule:   all limits are strict. A value that the archive keeps as a 32-bit float is compared with the limit as one, so that a value
--         printed like the limit is equal to it. The order of the columns is the order of cut_flow

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                                                          -- survey object {meta.id;meta.main}
    CAST(CASE WHEN pts_key IS NOT NULL THEN twomass_dist < CAST(getvariable('twomass_dist_arcsec_max') AS FLOAT) END AS BOOLEAN) AS twomass_match, -- a 2MASS source lies within the radius
    CAST(CASE WHEN source_id IS NOT NULL THEN gaia_dist1 < CAST(getvariable('gaia_dist_arcsec_max') AS FLOAT) END AS BOOLEAN) AS gaia_match,       -- a Gaia source lies within the radius
    CAST(CASE WHEN cntr IS NOT NULL THEN allwise_dist < CAST(getvariable('allwise_dist_arcsec_max') AS FLOAT) END AS BOOLEAN) AS allwise_match,    -- an AllWISE source lies within the radius
    CAST(prox > CAST(getvariable('prox_arcsec_min') AS FLOAT) AS BOOLEAN) AS isolated,                                              -- no other survey source is near
    CAST(ph_qual = getvariable('ph_qual_allowed') AS BOOLEAN) AS ph_qual_aaa,                                        -- 2MASS measured J, H and Ks well
    CAST(gal_contam = getvariable('gal_contam_allowed') AS BOOLEAN) AS gal_contam_none,                              -- no extended source contaminates the 2MASS photometry
    CAST(CASE WHEN pts_key IS NOT NULL THEN ext_key IS NULL END AS BOOLEAN) AS not_extended,                         -- 2MASS sees no extended source here
    CAST(cc_flg = getvariable('cc_flg_allowed') AS BOOLEAN) AS cc_flg_clean,                                         -- no 2MASS artefact or confusion in J, H or Ks
    CAST(class_star > CAST(getvariable('class_star_min') AS FLOAT) AS BOOLEAN) AS class_star,                                       -- it looks like a star
    CAST(flags_psf = getvariable('flags_psf_allowed') AS BOOLEAN) AS flags_psf_clean,                                -- no neighbour biases the PSF photometry
    CAST(u_ngood >= getvariable('ngood_min') AS BOOLEAN) AS u_observed,                                              -- observed well in u
    CAST(v_ngood >= getvariable('ngood_min') AS BOOLEAN) AS v_observed,                                              -- observed well in v
    CAST(g_ngood >= getvariable('ngood_min') AS BOOLEAN) AS g_observed,                                              -- observed well in g
    CAST(nch_max = getvariable('nch_max_allowed') AS BOOLEAN) AS single_child,                                       -- never split into several detections
    CAST(jk_mag > getvariable('jk_mag_min') AS BOOLEAN) AS red_jk,                                                   -- red as observed
    CAST(j_m < getvariable('j_mag_max') AS BOOLEAN) AS bright_j,                                                     -- bright enough for 2MASS
    CAST(CASE WHEN distance_source_id IS NOT NULL
              THEN r_est IS NOT NULL AND list_contains(getvariable('result_flags_allowed'), result_flag)
         END AS BOOLEAN) AS distance_converged,                                                                      -- a converged Bailer-Jones distance exists
    CAST(jk0_mag > getvariable('jk0_mag_min') AS BOOLEAN) AS red_jk0,                                                -- red after correction for reddening
    CAST(abs_j_mag < getvariable('abs_j_mag_max') AS BOOLEAN) AS luminous_mj                                         -- a giant, not a dwarf
FROM int_selection__matched
