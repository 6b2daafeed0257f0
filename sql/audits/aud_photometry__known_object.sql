-- aud_photometry__known_object: every object that has measurements is in the object catalogue.
-- severity: warn
-- inputs: colours, stg_survey__master

SELECT c.object_id, c.n_nights_ug, c.n_nights_uv
FROM colours AS c
LEFT JOIN stg_survey__master AS m ON c.object_id = m.object_id
WHERE m.object_id IS NULL
