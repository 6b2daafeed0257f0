-- aud_master__neighbours: self_dist1 is NULL only where there is no other source within 15 arcsec, as staging takes it.
-- severity: error
-- inputs: dr4.master
-- rule:   not confirmed by the survey's pages. Whether cnt_self_15 counts the object itself is not known: 1 may be itself

SELECT object_id, self_dist1, self_id1, cnt_self_15
FROM dr4.master
WHERE self_dist1 IS NULL AND (self_id1 IS NOT NULL OR cnt_self_15 > 1)
