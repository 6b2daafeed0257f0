-- aud_tess__one_curve: an object has one light curve of a sector: no time of it stands twice.
-- severity: warn
-- scope: object
-- inputs: stg_tess__light_curve

SELECT object_id, sector, count(*) AS n_points, count(DISTINCT time_btjd) AS n_times
FROM stg_tess__light_curve
GROUP BY object_id, sector
HAVING count(*) > count(DISTINCT time_btjd)
