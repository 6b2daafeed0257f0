-- aud_raw__copies: each catalogue row came once; copies (tile borders, repeated parts) are kept once by staging.
-- severity: warn
-- inputs: dr4.master, dr4.images, ext.twomass_psc, ext.allwise, ext.gaia_dr3, gedr3dist.main

SELECT 'dr4.master' AS table_name, object_id AS key, count(*) AS n FROM dr4.master GROUP BY object_id HAVING count(*) > 1
UNION ALL
SELECT 'dr4.images', image_id, count(*) FROM dr4.images GROUP BY image_id HAVING count(*) > 1
UNION ALL
SELECT 'ext.twomass_psc', pts_key, count(*) FROM ext.twomass_psc GROUP BY pts_key HAVING count(*) > 1
UNION ALL
SELECT 'ext.allwise', cntr, count(*) FROM ext.allwise GROUP BY cntr HAVING count(*) > 1
UNION ALL
SELECT 'ext.gaia_dr3', source_id, count(*) FROM ext.gaia_dr3 GROUP BY source_id HAVING count(*) > 1
UNION ALL
SELECT 'gedr3dist.main', source_id, count(*) FROM gedr3dist.main GROUP BY source_id HAVING count(*) > 1
