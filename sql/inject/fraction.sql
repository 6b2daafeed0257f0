-- fraction: what share of a population flickers, for each amplitude that it might flicker with.
--
-- purpose: from stars found to stars that flicker: found = share * efficiency + (1 - share) * false alarms
-- grain:   one row per amplitude_mag; amplitude_mag NULL: the share found as such, a lower limit of the share that flickers
-- inputs:  population (object_id, is_found, p_false), population_efficiency (amplitude_mag, n_injected, n_found)
-- source:  interval of Wilson 1927 at 95 % (z = 1.959964) on the share found, carried through the line above; the efficiency is taken as known
-- nulls:   NULL where nothing of that amplitude would be found: such flickering cannot be told from none

WITH counted AS (
    SELECT
        count(*) AS n, count(*) FILTER (WHERE is_found) AS k, 1.959964e0 AS z,
        CAST(sum(CAST(floor(p_false * 1e15 + 0.5e0) AS HUGEINT)) AS DOUBLE) / 1e15 / count(*) AS false_alarms
    FROM population
),

intervals AS (
    SELECT
        n, k, false_alarms, k / n AS share,
        greatest(0, (k + z * z / 2 - z * sqrt(k * (n - k) / n + z * z / 4)) / (n + z * z)) AS share_lo,
        least(1, (k + z * z / 2 + z * sqrt(k * (n - k) / n + z * z / 4)) / (n + z * z)) AS share_hi
    FROM counted
    WHERE n > 0
),

asked AS (
    SELECT NULL AS amplitude_mag, 1.0e0 AS efficiency, 0.0e0 AS false_alarms
    UNION ALL
    SELECT e.amplitude_mag, e.n_found / e.n_injected, i.false_alarms
    FROM population_efficiency AS e
    CROSS JOIN intervals AS i
)

SELECT
    CAST(a.amplitude_mag AS DOUBLE) AS amplitude_mag,       -- rms of the flickering in u that is supposed [mag]
    CAST(i.n AS BIGINT) AS n_stars,                         -- stars of the population with a rapid delta-u sigma
    CAST(i.k AS BIGINT) AS n_found,                         -- of these, stars that stand out
    CAST(a.efficiency AS DOUBLE) AS efficiency,             -- share of such flickerers among stars like these that is found
    CAST(a.false_alarms AS DOUBLE) AS false_alarms,         -- share of quiet stars like these that stand out
    CAST(CASE WHEN a.efficiency > a.false_alarms THEN greatest(0, least(1, (i.share - a.false_alarms) / (a.efficiency - a.false_alarms))) END AS DOUBLE) AS fraction,       -- share of the population that flickers so
    CAST(CASE WHEN a.efficiency > a.false_alarms THEN greatest(0, least(1, (i.share_lo - a.false_alarms) / (a.efficiency - a.false_alarms))) END AS DOUBLE) AS fraction_lo, -- lower end of its 95 % interval
    CAST(CASE WHEN a.efficiency > a.false_alarms THEN greatest(0, least(1, (i.share_hi - a.false_alarms) / (a.efficiency - a.false_alarms))) END AS DOUBLE) AS fraction_hi  -- upper end of its 95 % interval
FROM asked AS a
CROSS JOIN intervals AS i
ORDER BY a.amplitude_mag NULLS FIRST
