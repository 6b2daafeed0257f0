-- density_score: how rare an object's snapshot colours are in the sample.
--
-- grain:  one row per object_id of int_density__points
-- key:    object_id
-- inputs: int_density__points
-- engine: density_score
-- source: natural logarithm of a Gaussian kernel density of the sample in (u-g, u-v), bandwidth h = 0.1 mag, the object itself included:
--         ln[ 1/N sum_j exp(-d_j^2 / 2h^2) / (2 pi h^2) ], recovered from the published scores of Lucy 2024
-- rule:   this text is the definition and compares every object with every other; `skysy build` puts the engine of that name in its
--         place, which gives the same numbers to 1e-9 without the N^2 comparisons

SELECT
    CAST(p.object_id AS BIGINT) AS object_id,                                               -- survey object {meta.id;meta.main}
    CAST(ln(
        sum(exp(-((p.ug_mag - q.ug_mag) ** 2 + (p.uv_mag - q.uv_mag) ** 2)
                / (2 * CAST(getvariable('kde_bandwidth_mag') AS DOUBLE) ** 2)))
        / (count(*) * 2 * pi() * CAST(getvariable('kde_bandwidth_mag') AS DOUBLE) ** 2)
    ) AS DOUBLE) AS ln_density                                                              -- ln of the density of sample objects at its colours, per mag^2 {stat.probability}
FROM int_density__points AS p
CROSS JOIN int_density__points AS q
GROUP BY p.object_id
