-- aud_photometry__known_image: every detection's exposure is in the image table.
-- severity: warn
-- scope: chunk
-- inputs: stg_survey__photometry, stg_survey__images
-- broadcast: stg_survey__images

SELECT p.image_id, p.chunk_id, count(*) AS n_detections
FROM stg_survey__photometry AS p
LEFT JOIN stg_survey__images AS i ON p.image_id = i.image_id
WHERE i.image_id IS NULL
GROUP BY p.image_id, p.chunk_id
