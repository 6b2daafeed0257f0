-- effective_sigma: how probable each object's rapid delta-u sigma is if nothing varies.
--
-- grain:  one row per object_id of the sample that has a rapid delta-u sigma
-- key:    object_id
-- inputs: int_effective__bins, int_rapid__sequences
-- source: the sigma of the talk is the greatest of several pairs and no Gaussian's (Lucy 2021: "effective sigma"). A Gaussian's probability
--         outside a polygon as an integral over each edge: Owen 1956, Ann. Math. Stat. 27, 1075; Craig 1991, MILCOM, 571;
--         nodes and weights of Gauss and Legendre: Abramowitz & Stegun, table 25.4;
--         erfc to 1.2e-7 of its value: Press et al., Numerical Recipes, section 6.2. Worked out in docs/effective-sigma.md
-- nulls:  none
-- rule:   an exposure's u is a Gaussian of variance v = e^2 + s^2 round the object's constant u. s = 0 gives p_analytic, s = scatter_mag
--         of the object's bin p_scatter. An object reaches a sigma if any of its sequences does: 1 - product(1 - p of a sequence).
--         Two and three exposures: exact. Four and more: 1 - product(1 - p of a pair), which is not below it (Sidak 1967). p_limit is the p_scatter
--         of rapid_u_sigma_min: its sum over the objects is the number expected at or above that limit if nothing varies.
--         Probabilities have ten digits, so that they do not depend on a machine's exp and cos

WITH asked AS (
    SELECT
        q.object_id, question.name AS question, q.errors AS e,
        CASE question.name WHEN 'limit' THEN CAST(getvariable('rapid_u_sigma_min') AS DOUBLE) ELSE b.rapid_u_sigma END AS t,
        CASE question.name WHEN 'analytic' THEN 0 ELSE b.scatter_mag ** 2 END AS s2
    FROM int_rapid__sequences AS q
    JOIN int_effective__bins AS b ON q.object_id = b.object_id
    CROSS JOIN (VALUES ('analytic'), ('scatter'), ('limit')) AS question(name)
),

-- Three exposures: u_1 - u_2 and u_1 - u_3 span a plane, in which the three pairs' limits are the edges of a hexagon round the origin, in
-- pairs. g is an edge's distance from the origin for a sigma of 1, alpha the angle between the directions of two edges that share an exposure.
hexagons AS (
    SELECT
        object_id, question, t,
        sqrt((e[1] ** 2 + e[2] ** 2) / (v[1] + v[2])) AS g_12,
        sqrt((e[1] ** 2 + e[3] ** 2) / (v[1] + v[3])) AS g_13,
        sqrt((e[2] ** 2 + e[3] ** 2) / (v[2] + v[3])) AS g_23,
        acos(v[1] / sqrt((v[1] + v[2]) * (v[1] + v[3]))) AS alpha_1,
        acos(v[2] / sqrt((v[2] + v[1]) * (v[2] + v[3]))) AS alpha_2,
        acos(v[3] / sqrt((v[3] + v[1]) * (v[3] + v[2]))) AS alpha_3
    FROM (SELECT *, list_transform(e, lambda x: x * x + s2) AS v FROM asked WHERE len(e) = 3)
),

-- The angle from an edge's nearest point to its corners, seen from the origin. Beyond 6 / h nothing is left.
corners AS (
    SELECT
        object_id, question, t * g_12 AS h_12, t * g_13 AS h_13, t * g_23 AS h_23,
        6 / greatest(t * g_12, 1) AS far_12, 6 / greatest(t * g_13, 1) AS far_13, 6 / greatest(t * g_23, 1) AS far_23,
        -atan((g_23 - g_12 * cos(alpha_2)) / (g_12 * sin(alpha_2))) AS lo_12, atan((g_13 - g_12 * cos(alpha_1)) / (g_12 * sin(alpha_1))) AS hi_12,
        -atan((g_12 - g_13 * cos(alpha_1)) / (g_13 * sin(alpha_1))) AS lo_13, atan((g_23 - g_13 * cos(alpha_3)) / (g_13 * sin(alpha_3))) AS hi_13,
        -atan((g_13 - g_23 * cos(alpha_3)) / (g_23 * sin(alpha_3))) AS lo_23, atan((g_12 - g_23 * cos(alpha_2)) / (g_23 * sin(alpha_2))) AS hi_23
    FROM hexagons
),

bounded AS (
    SELECT
        object_id, question, h_12, h_13, h_23,
        greatest(lo_12, -far_12) AS lo_12, least(hi_12, far_12) AS hi_12,
        greatest(lo_13, -far_13) AS lo_13, least(hi_13, far_13) AS hi_13,
        greatest(lo_23, -far_23) AS lo_23, least(hi_23, far_23) AS hi_23
    FROM corners
),

-- Two exposures: one pair of edges without corners. Of more than three, each pair by itself.
pairs AS (
    SELECT
        object_id, question,
        unnest(flatten(list_transform(range(1, len(e)), lambda i: list_transform(
            range(i + 1, len(e) + 1), lambda j: t * sqrt((e[i] ** 2 + e[j] ** 2) / (e[i] ** 2 + e[j] ** 2 + 2 * s2))
        )))) AS h
    FROM asked
    WHERE len(e) <> 3
),

gauss_legendre AS (
    SELECT
        [-0.973906528517172, -0.865063366688985, -0.679409568299024, -0.433395394129247, -0.148874338981631,
         0.148874338981631, 0.433395394129247, 0.679409568299024, 0.865063366688985, 0.973906528517172] AS nodes,
        [0.0666713443086881, 0.14945134915058, 0.219086362515982, 0.269266719309997, 0.295524224714753,
         0.295524224714753, 0.269266719309997, 0.219086362515982, 0.14945134915058, 0.0666713443086881] AS weights
),

-- Each pair of edges: 1/pi times the integral of exp(-h^2 / (2 cos^2 theta)) from corner to corner. A pair alone:
-- erfc(h / sqrt 2), r = 1 / (1 + h / sqrt 8).
reached AS (
    SELECT
        object_id, question,
        list_dot_product(weights, list_transform(nodes, lambda x: exp(-0.5e0 * h_12 * h_12 / cos((lo_12 + hi_12 + x * (hi_12 - lo_12)) / 2) ** 2))) * (hi_12 - lo_12) / (2 * pi())
        + list_dot_product(weights, list_transform(nodes, lambda x: exp(-0.5e0 * h_13 * h_13 / cos((lo_13 + hi_13 + x * (hi_13 - lo_13)) / 2) ** 2))) * (hi_13 - lo_13) / (2 * pi())
        + list_dot_product(weights, list_transform(nodes, lambda x: exp(-0.5e0 * h_23 * h_23 / cos((lo_23 + hi_23 + x * (hi_23 - lo_23)) / 2) ** 2))) * (hi_23 - lo_23) / (2 * pi()) AS p
    FROM bounded
    CROSS JOIN gauss_legendre
    UNION ALL
    SELECT
        object_id, question,
        r * exp(-h * h / 2 - 1.26551223 + r * (1.00002368 + r * (0.37409196 + r * (0.09678418 + r * (-0.18628806 + r * (
            0.27886807 + r * (-1.13520398 + r * (1.48851587 + r * (-0.82215223 + r * 0.17087277))))))))) AS p
    FROM (SELECT object_id, question, h, 1 / (1 + h / sqrt(8)) AS r FROM pairs)
),

-- Any of them: a + b - ab, from the smallest up, so that the order of rows does not matter.
answers AS (
    SELECT object_id, question, list_reduce(list_sort(list(p)), lambda a, b: a + b - a * b) AS p
    FROM reached
    GROUP BY object_id, question
),

side_by_side AS (
    SELECT
        object_id,
        max(p) FILTER (WHERE question = 'analytic') AS p_analytic,
        max(p) FILTER (WHERE question = 'scatter') AS p_scatter,
        max(p) FILTER (WHERE question = 'limit') AS p_limit
    FROM answers
    GROUP BY object_id
)

SELECT
    CAST(b.object_id AS BIGINT) AS object_id,                   -- survey object {meta.id;meta.main}
    CAST(b.u_mag AS DOUBLE) AS u_mag,                           -- mean of its exposures in sequences, AB [mag] {phot.mag;em.opt.U}
    CAST(b.rapid_u_sigma AS DOUBLE) AS rapid_u_sigma,           -- rapid delta-u sigma {stat.snr;phot.mag;em.opt.U}
    CAST(format('{:.9e}', least(p.p_analytic, 1)) AS DOUBLE) AS p_analytic,       -- probability of so high a sigma if nothing varies and the archive's errors are right {stat.probability}
    CAST(b.p_empirical AS DOUBLE) AS p_empirical,               -- share of sample objects as bright, outliers left out, whose sigma is as high or higher {stat.probability}
    CAST(format('{:.9e}', least(p.p_scatter, 1)) AS DOUBLE) AS p_scatter,         -- probability of so high a sigma if nothing varies and scatter_mag comes on top of the errors {stat.probability}
    CAST(format('{:.9e}', least(p.p_limit, 1)) AS DOUBLE) AS p_limit,             -- probability that it reaches rapid_u_sigma_min, in the same way {stat.probability}
    CAST(b.is_outlier AS BOOLEAN) AS is_outlier,                -- TRUE: above effective_outlier_factor times its 95.5 % line {meta.code}
    CAST(b.sigma_955 AS DOUBLE) AS sigma_955,                   -- 95.5 % of sample objects as bright lie at or below {stat.snr}
    CAST(b.sigma_997 AS DOUBLE) AS sigma_997,                   -- 99.7 % of sample objects as bright lie at or below {stat.snr}
    CAST(b.scatter_mag AS DOUBLE) AS scatter_mag,               -- scatter of one exposure beyond its error, among objects as bright [mag] {stat.stdev;phot.mag}
    CAST(b.n_bin AS INTEGER) AS n_bin                           -- sample objects that its bin counts {meta.number}
FROM int_effective__bins AS b
JOIN side_by_side AS p ON b.object_id = p.object_id
