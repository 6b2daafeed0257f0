-- aud_fanout__selection: the joins to other catalogues neither multiply objects nor lose any.
-- severity: error
-- inputs: stg_survey__master, int_selection__matched, int_selection__cuts

SELECT m.n AS n_master, j.n AS n_matched, c.n AS n_cuts
FROM (SELECT count(*) AS n FROM stg_survey__master) AS m
CROSS JOIN (SELECT count(*) AS n FROM int_selection__matched) AS j
CROSS JOIN (SELECT count(*) AS n FROM int_selection__cuts) AS c
WHERE m.n <> j.n OR m.n <> c.n
