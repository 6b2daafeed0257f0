-- aud_followup__in_catalogue: every object of the follow-up record is in the object catalogue.
-- severity: warn
-- inputs: stg_followup__observations, stg_survey__master

SELECT o.object_id, o.observed_on, o.instrument
FROM stg_followup__observations AS o
LEFT JOIN stg_survey__master AS m ON o.object_id = m.object_id
WHERE m.object_id IS NULL
