-- aud_photometry__same_filter_as_image: a measurement and its exposure name the same filter.
-- severity: warn
-- scope: object
-- inputs: measurements, stg_survey__images
-- broadcast: stg_survey__images

SELECT m.object_id, m.image_id, m.filter, i.filter AS image_filter
FROM measurements AS m
JOIN stg_survey__images AS i ON m.image_id = i.image_id
WHERE m.filter <> i.filter
