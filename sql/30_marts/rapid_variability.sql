-- rapid_variability: the most significant change in u within one colour sequence, object by object.
--
-- grain:  one row per object_id with at least one sequence that has enough valid u exposures
-- key:    object_id
-- scope:  object
-- inputs: measurements
-- source: Lucy 2021: max over pairs i, j of the u exposures of one Main Survey sequence of |u_i - u_j| / sqrt(e_i^2 + e_j^2), then the
--         maximum over the object's sequences; the errors are the archive's own, without a floor, as in the published values
-- nulls:  objects without such a sequence have no row
-- rule:   every pair of a sequence is compared, however many exposures it has; each exposure looks back on those before it.
--         Of equal pairs the one with the earlier first exposure, then the earlier second one, is named.
--         rapid_u_sigma_floored is the maximum with rapid_error_floor_mag added in quadrature to both errors (the survey
--         reproduces u to 1 % while its smallest error is 0.0033 mag); its pair may be another one

WITH exposures AS (
    SELECT object_id, sequence_id, image_id, date, mag_psf, e_mag_psf
    FROM measurements
    WHERE filter = getvariable('rapid_filter')
      AND sequence_id IS NOT NULL
),

looking_back AS (
    SELECT
        object_id, sequence_id, image_id, mag_psf, e_mag_psf,
        count(*) OVER (in_sequence ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS n_u,
        list(struct_pack(image_id := image_id, mag_psf := mag_psf, e_mag_psf := e_mag_psf)) OVER (
            in_sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS earlier
    FROM exposures
    WINDOW in_sequence AS (PARTITION BY object_id, sequence_id ORDER BY date, image_id)
),

pairs AS (
    SELECT object_id, sequence_id, n_u, unnest(earlier) AS i, image_id AS image_id_j, mag_psf AS mag_j, e_mag_psf AS e_mag_j
    FROM looking_back
    WHERE n_u >= getvariable('rapid_min_exposures')
),

compared AS (
    SELECT
        object_id, sequence_id, n_u, i.image_id AS image_id_i, image_id_j, i.e_mag_psf AS e_mag_i, e_mag_j,
        abs(i.mag_psf - mag_j) AS delta_u_mag,
        abs(i.mag_psf - mag_j) / sqrt(i.e_mag_psf * i.e_mag_psf + e_mag_j * e_mag_j) AS sigma,
        abs(i.mag_psf - mag_j) / sqrt(
            i.e_mag_psf * i.e_mag_psf + e_mag_j * e_mag_j + 2 * CAST(getvariable('rapid_error_floor_mag') AS DOUBLE) ** 2
        ) AS sigma_floored
    FROM pairs
),

-- The greatest struct is the one with the greatest first field; the negative image_ids settle equal ones.
winners AS (
    SELECT
        object_id,
        max(struct_pack(
            sigma := sigma, minus_i := -image_id_i, minus_j := -image_id_j, delta_u_mag := delta_u_mag,
            e_mag_i := e_mag_i, e_mag_j := e_mag_j, sequence_id := sequence_id, n_u := n_u
        )) AS best,
        max(sigma_floored) AS sigma_floored,
        count(DISTINCT sequence_id) AS n_sequences
    FROM compared
    GROUP BY object_id
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                    -- survey object {meta.id;meta.main}
    CAST(best.sigma AS DOUBLE) AS rapid_u_sigma,               -- rapid delta-u sigma, the published statistic {stat.snr;phot.mag;em.opt.U}
    CAST(best.delta_u_mag AS DOUBLE) AS delta_u_mag,           -- change in u of the winning pair, without sign [mag] {phot.mag;em.opt.U;arith.diff}
    CAST(best.e_mag_i AS DOUBLE) AS e_mag_i,                   -- error of its earlier exposure [mag] {stat.error;phot.mag}
    CAST(best.e_mag_j AS DOUBLE) AS e_mag_j,                   -- error of its later exposure [mag] {stat.error;phot.mag}
    CAST(-best.minus_i AS BIGINT) AS image_id_i,               -- its earlier exposure {meta.id;obs}
    CAST(-best.minus_j AS BIGINT) AS image_id_j,               -- its later exposure {meta.id;obs}
    CAST(best.sequence_id AS BIGINT) AS sequence_id,           -- the sequence of the winning pair {meta.id;obs.sequence}
    CAST(best.n_u AS INTEGER) AS n_u,                          -- valid u exposures in that sequence {meta.number}
    CAST(n_sequences AS INTEGER) AS n_sequences,               -- sequences compared {meta.number}
    CAST(sigma_floored AS DOUBLE) AS rapid_u_sigma_floored     -- the same with an error floor in quadrature {stat.snr;phot.mag;em.opt.U}
FROM winners
