-- false_alarms: how many sample objects reach each limit of rapid variability, and how many would if nothing varied.
--
-- grain:  one row per limit
-- key:    step
-- inputs: effective_sigma
-- source: sums of the probabilities of effective_sigma over the sample's objects
-- nulls:  none; an empty sample expects 0
-- rule:   n_found above n_expected are variables or errors that the model does not know. Sums of probabilities in whole numbers of 1e-15

WITH counted AS (
    SELECT
        count(*) AS n_objects,
        count(*) FILTER (WHERE rapid_u_sigma >= getvariable('rapid_u_sigma_min')) AS at_limit,
        coalesce(CAST(sum(CAST(floor(p_limit * 1e15 + 0.5e0) AS HUGEINT)) AS DOUBLE) / 1e15, 0) AS expected_at_limit,
        count(*) FILTER (WHERE p_scatter <= getvariable('rapid_p_max')) AS at_p,
        count(*) FILTER (WHERE p_scatter <= 0.003) AS at_scatter,
        count(*) FILTER (WHERE p_analytic <= 0.003) AS at_analytic,
        count(*) FILTER (WHERE rapid_u_sigma > sigma_955) AS above_955,
        count(*) FILTER (WHERE rapid_u_sigma > sigma_997) AS above_997
    FROM effective_sigma
),

listed AS (
    SELECT
        n_objects,
        unnest([
            struct_pack(step := 1, name := format('rapid_u_sigma >= {:.2f}', CAST(getvariable('rapid_u_sigma_min') AS DOUBLE)), found := at_limit, expected := expected_at_limit),
            struct_pack(step := 2, name := format('p_scatter <= {:.2g}', CAST(getvariable('rapid_p_max') AS DOUBLE)), found := at_p, expected := n_objects * CAST(getvariable('rapid_p_max') AS DOUBLE)),
            struct_pack(step := 3, name := 'p_scatter <= 0.003', found := at_scatter, expected := n_objects * 0.003e0),
            struct_pack(step := 4, name := 'p_analytic <= 0.003', found := at_analytic, expected := n_objects * 0.003e0),
            struct_pack(step := 5, name := 'above the 95.5 % line', found := above_955, expected := n_objects * 0.045e0),
            struct_pack(step := 6, name := 'above the 99.7 % line', found := above_997, expected := n_objects * 0.003e0)
        ]) AS one
    FROM counted
)

SELECT
    CAST(one.step AS INTEGER) AS step,              -- order, from 1; 2 is missing where rapid_p_max is 0 {meta.number}
    CAST(one.name AS VARCHAR) AS reaches,           -- the limit {meta.id}
    CAST(n_objects AS BIGINT) AS n_objects,         -- sample objects that have a rapid delta-u sigma {meta.number}
    CAST(one.found AS BIGINT) AS n_found,           -- of these, objects that reach the limit {meta.number}
    CAST(one.expected AS DOUBLE) AS n_expected      -- objects that would if nothing varied {meta.number;stat.mean}
FROM listed
WHERE one.step <> 2 OR getvariable('rapid_p_max') > 0   -- a rule that is left out has no limit
ORDER BY step
