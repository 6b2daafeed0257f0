-- aud_raw__copies: each catalogue row came once; copies (tile borders, repeated parts) are kept once by staging.
-- severity: warn
-- inputs: dr2.master, dr2.images, ext.twomass_psc, ext.allwise, ext.gaia_dr2, gaiadr2_complements.geometric_distance

SELECT 'dr2.master' AS table_name, object_id AS key, count(*) AS n FROM dr2.master GROUP BY object_id HAVING count(*) > 1
UNION ALL
SELECT 'dr2.images', image_id, count(*) FROM dr2.images GROUP BY image_id HAVING count(*) > 1
UNION ALL
SELECT 'ext.twomass_psc', pts_key, count(*) FROM ext.twomass_psc GROUP BY pts_key HAVING count(*) > 1
UNION ALL
SELECT 'ext.allwise', cntr, count(*) FROM ext.allwise GROUP BY cntr HAVING count(*) > 1
UNION ALL
SELECT 'ext.gaia_dr2', source_id, count(*) FROM ext.gaia_dr2 GROUP BY source_id HAVING count(*) > 1
UNION ALL
SELECT 'gaiadr2_complements.geometric_distance', source_id, count(*) FROM gaiadr2_complements.geometric_distance GROUP BY source_id HAVING count(*) > 1
