-- int_density__points: the points of the colour density, sample objects with both snapshot colours.
--
-- grain:  one row per object_id
-- key:    object_id
-- inputs: sample, colours
-- source: the published colour scores are normalised by the number of sample objects with both colours (Lucy 2024: 366,721)
-- nulls:  objects without a u-g or without a u-v snapshot are no points

SELECT
    CAST(s.object_id AS BIGINT) AS object_id,   -- survey object {meta.id;meta.main}
    CAST(c.ug_mag AS DOUBLE) AS ug_mag,         -- mean nightly u - g [mag] {phot.color;em.opt.U;em.opt.B}
    CAST(c.uv_mag AS DOUBLE) AS uv_mag          -- mean nightly u - v [mag] {phot.color;em.opt.U}
FROM sample AS s
JOIN colours AS c ON s.object_id = c.object_id
WHERE c.ug_mag IS NOT NULL
  AND c.uv_mag IS NOT NULL
