-- aud_followup__one_row: an object, a date and an instrument are told once.
-- severity: warn
-- inputs: stg_followup__observations
-- rule:   rows that are the same in every column are one already; these differ, and each counts as an observation

SELECT object_id, observed_on, instrument, count(*) AS n
FROM stg_followup__observations
GROUP BY ALL
HAVING count(*) > 1
