-- dwarf_flares: red dwarfs that brightened in u within one colour sequence, as flare stars do.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: int_selection__matched, int_selection__cuts, rapid_variability, measurements
-- source: a worked example: the cuts of the giants' sample without the one on luminosity, turned round
-- nulls:  none
-- rule:   of the winning pair the later exposure is the brighter one: a flare rises in minutes and fades slowly

WITH dwarfs AS (
    SELECT m.object_id, m.raj2000, m.dej2000, m.jk0_mag, m.abs_j_mag
    FROM int_selection__matched AS m
    JOIN int_selection__cuts AS c ON m.object_id = c.object_id
    WHERE c.twomass_match                                               -- J and Ks are this star's
      AND c.gaia_match                                                  -- and so is the distance
      AND c.isolated                                                    -- no neighbour in the aperture
      AND c.class_star                                                  -- a star
      AND c.flags_psf_clean                                             -- measured well
      AND c.distance_converged                                          -- with a distance to tell dwarfs from giants
      AND m.abs_j_mag > getvariable('dwarf_abs_j_mag_min')              -- a dwarf
),

flares AS (
    SELECT r.object_id, r.rapid_u_sigma, r.image_id_i, r.image_id_j, i.mag_psf - j.mag_psf AS rise_mag
    FROM rapid_variability AS r
    JOIN measurements AS i ON r.object_id = i.object_id AND r.image_id_i = i.image_id
    JOIN measurements AS j ON r.object_id = j.object_id AND r.image_id_j = j.image_id
    WHERE r.rapid_u_sigma >= getvariable('flare_sigma_min')             -- more than noise
      AND j.mag_psf < i.mag_psf                                         -- it brightened
)

SELECT
    CAST(d.object_id AS BIGINT) AS object_id,               -- survey object {meta.id;meta.main}
    CAST(d.raj2000 AS DOUBLE) AS raj2000,                   -- mean right ascension, ICRS [deg] {pos.eq.ra;meta.main}
    CAST(d.dej2000 AS DOUBLE) AS dej2000,                   -- mean declination, ICRS [deg] {pos.eq.dec;meta.main}
    CAST(d.jk0_mag AS DOUBLE) AS jk0_mag,                   -- J - Ks corrected for reddening [mag] {phot.color;em.IR.J;em.IR.K}
    CAST(d.abs_j_mag AS DOUBLE) AS abs_j_mag,               -- absolute J magnitude [mag] {phys.magAbs;em.IR.J}
    CAST(f.rise_mag AS DOUBLE) AS rise_mag,                 -- brightening in u [mag] {phot.mag;em.opt.U;arith.diff}
    CAST(f.rapid_u_sigma AS DOUBLE) AS rapid_u_sigma,       -- its significance {stat.snr;phot.mag;em.opt.U}
    CAST(f.image_id_i AS BIGINT) AS image_id_i,             -- exposure before {meta.id;obs}
    CAST(f.image_id_j AS BIGINT) AS image_id_j              -- exposure in the flare {meta.id;obs}
FROM dwarfs AS d
JOIN flares AS f ON d.object_id = f.object_id
