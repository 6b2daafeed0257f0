-- aud_known__in_catalogue: every object of the user's list of known objects is in the object catalogue.
-- severity: warn
-- inputs: stg_known__objects, stg_survey__master

SELECT k.object_id, k.name
FROM stg_known__objects AS k
LEFT JOIN stg_survey__master AS m ON k.object_id = m.object_id
WHERE m.object_id IS NULL
