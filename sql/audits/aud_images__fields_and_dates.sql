-- aud_images__fields_and_dates: every Main Survey exposure has a field and a date, so that its sequence can be found.
-- severity: warn
-- inputs: stg_survey__images

SELECT image_id, field_id, date, image_type
FROM stg_survey__images
WHERE image_type = 'ms' AND (field_id IS NULL OR date IS NULL OR NOT isfinite(date))
