-- sample: the luminous red objects, those that pass every cut.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: int_selection__matched, int_selection__cuts
-- source: Lucy 2021, slide "building a sample of luminous red objects"
-- nulls:  a cut that is NULL is not passed, unless the release has no value of it at all (cuts_not_available). Objects without a
--         colour snapshot stay in the sample; cut_flow counts them last

SELECT
    CAST(m.object_id AS BIGINT) AS object_id,       -- survey object {meta.id;meta.main}
    CAST(m.source_id AS BIGINT) AS source_id,       -- Gaia source {meta.id.cross}
    CAST(m.raj2000 AS DOUBLE) AS raj2000,           -- mean right ascension, ICRS [deg] {pos.eq.ra;meta.main}
    CAST(m.dej2000 AS DOUBLE) AS dej2000,           -- mean declination, ICRS [deg] {pos.eq.dec;meta.main}
    CAST(m.glon AS DOUBLE) AS glon,                 -- Galactic longitude [deg] {pos.galactic.lon}
    CAST(m.glat AS DOUBLE) AS glat,                 -- Galactic latitude [deg] {pos.galactic.lat}
    CAST(m.j_m AS DOUBLE) AS j_m,                   -- 2MASS J, Vega [mag] {phot.mag;em.IR.J}
    CAST(m.h_m AS DOUBLE) AS h_m,                   -- 2MASS H, Vega [mag] {phot.mag;em.IR.H}
    CAST(m.k_m AS DOUBLE) AS k_m,                   -- 2MASS Ks, Vega [mag] {phot.mag;em.IR.K}
    CAST(m.jk0_mag AS DOUBLE) AS jk0_mag,           -- J - Ks corrected for reddening [mag] {phot.color;em.IR.J;em.IR.K}
    CAST(m.abs_j_mag AS DOUBLE) AS abs_j_mag,       -- absolute J magnitude, no extinction correction [mag] {phys.magAbs;em.IR.J}
    CAST(m.r_est AS DOUBLE) AS r_est,               -- estimated distance [pc] {pos.distance}
    CAST(m.r_lo AS DOUBLE) AS r_lo,                 -- lower bound of its 68 % interval [pc] {pos.distance;stat.min}
    CAST(m.r_hi AS DOUBLE) AS r_hi,                 -- upper bound of its 68 % interval [pc] {pos.distance;stat.max}
    CAST(m.ebmv_sfd AS DOUBLE) AS ebmv_sfd,         -- E(B-V) of Schlegel et al. 1998 [mag] {phot.color.excess}
    CAST(m.u_psf AS DOUBLE) AS u_psf,               -- catalogue u PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(m.v_psf AS DOUBLE) AS v_psf,               -- catalogue v PSF magnitude, AB [mag] {phot.mag;em.opt.U}
    CAST(m.g_psf AS DOUBLE) AS g_psf,               -- catalogue g PSF magnitude, AB [mag] {phot.mag;em.opt.B}
    CAST(m.w1mpro AS DOUBLE) AS w1mpro,             -- AllWISE W1, Vega [mag] {phot.mag;em.IR.3-4um}
    CAST(m.w2mpro AS DOUBLE) AS w2mpro,             -- AllWISE W2, Vega [mag] {phot.mag;em.IR.4-8um}
    CAST(m.parallax AS DOUBLE) AS parallax,         -- Gaia parallax [mas] {pos.parallax}
    CAST(m.pmra AS DOUBLE) AS pmra,                 -- proper motion in right ascension times cos(dec) [mas.yr**-1] {pos.pm;pos.eq.ra}
    CAST(m.pmdec AS DOUBLE) AS pmdec                -- proper motion in declination [mas.yr**-1] {pos.pm;pos.eq.dec}
FROM int_selection__matched AS m
JOIN int_selection__cuts AS c ON m.object_id = c.object_id
WHERE coalesce(c.twomass_match, list_contains(getvariable('cuts_not_available'), 'twomass_match'))
  AND coalesce(c.gaia_match, list_contains(getvariable('cuts_not_available'), 'gaia_match'))
  AND coalesce(c.allwise_match, list_contains(getvariable('cuts_not_available'), 'allwise_match'))
  AND coalesce(c.isolated, list_contains(getvariable('cuts_not_available'), 'isolated'))
  AND coalesce(c.ph_qual_aaa, list_contains(getvariable('cuts_not_available'), 'ph_qual_aaa'))
  AND coalesce(c.gal_contam_none, list_contains(getvariable('cuts_not_available'), 'gal_contam_none'))
  AND coalesce(c.not_extended, list_contains(getvariable('cuts_not_available'), 'not_extended'))
  AND coalesce(c.cc_flg_clean, list_contains(getvariable('cuts_not_available'), 'cc_flg_clean'))
  AND coalesce(c.class_star, list_contains(getvariable('cuts_not_available'), 'class_star'))
  AND coalesce(c.flags_psf_clean, list_contains(getvariable('cuts_not_available'), 'flags_psf_clean'))
  AND coalesce(c.u_observed, list_contains(getvariable('cuts_not_available'), 'u_observed'))
  AND coalesce(c.v_observed, list_contains(getvariable('cuts_not_available'), 'v_observed'))
  AND coalesce(c.g_observed, list_contains(getvariable('cuts_not_available'), 'g_observed'))
  AND coalesce(c.single_child, list_contains(getvariable('cuts_not_available'), 'single_child'))
  AND coalesce(c.red_jk, list_contains(getvariable('cuts_not_available'), 'red_jk'))
  AND coalesce(c.bright_j, list_contains(getvariable('cuts_not_available'), 'bright_j'))
  AND coalesce(c.distance_converged, list_contains(getvariable('cuts_not_available'), 'distance_converged'))
  AND coalesce(c.red_jk0, list_contains(getvariable('cuts_not_available'), 'red_jk0'))
  AND coalesce(c.luminous_mj, list_contains(getvariable('cuts_not_available'), 'luminous_mj'))
