-- aud_cuts__not_available: what is called a cut that the release cannot make is a cut, and no object has a value for it.
-- severity: error
-- inputs: int_selection__cuts
-- rule:   so cuts_not_available can never switch a cut off; change the cut's limit for that

WITH verdicts AS (
    UNPIVOT (SELECT count(COLUMNS('(.*)')) AS "\1" FROM int_selection__cuts) ON * INTO NAME cut VALUE n
),

named AS (
    SELECT unnest(getvariable('cuts_not_available')) AS cut
)

SELECT n.cut, v.n AS n_objects_with_a_value
FROM named AS n
LEFT JOIN verdicts AS v ON n.cut = v.cut AND v.cut <> 'object_id'
WHERE v.n IS NULL OR v.n > 0
