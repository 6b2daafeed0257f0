-- int_rapid__sequences: the exposures that rapid variability compares, sequence by sequence.
--
-- grain:  one row per object_id and sequence_id with enough valid exposures in rapid_filter
-- key:    object_id, sequence_id
-- scope:  object
-- inputs: measurements
-- source: Lucy 2021: the u exposures of one Main Survey colour sequence
-- nulls:  none
-- rule:   exposures in order of time, then of image_id; those that rapid_variability compares, no others

WITH grouped AS (
    SELECT
        object_id, sequence_id,
        list_sort(list(struct_pack(date := date, image_id := image_id, mag_psf := mag_psf, e_mag_psf := e_mag_psf))) AS exposures
    FROM measurements
    WHERE filter = getvariable('rapid_filter')
      AND sequence_id IS NOT NULL
    GROUP BY object_id, sequence_id
    HAVING count(*) >= getvariable('rapid_min_exposures')
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                                 -- survey object {meta.id;meta.main}
    CAST(sequence_id AS BIGINT) AS sequence_id,                                             -- colour sequence {meta.id;obs.sequence}
    CAST(len(exposures) AS INTEGER) AS n_u,                                                 -- valid exposures {meta.number}
    CAST(list_transform(exposures, lambda x: x.mag_psf) AS DOUBLE[]) AS mags,               -- PSF magnitudes in order of time, AB [mag] {phot.mag;em.opt.U}
    CAST(list_transform(exposures, lambda x: x.e_mag_psf) AS DOUBLE[]) AS errors            -- their errors as the archive gives them [mag] {stat.error;phot.mag}
FROM grouped
