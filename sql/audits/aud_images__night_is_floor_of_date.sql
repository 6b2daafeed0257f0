-- aud_images__night_is_floor_of_date: the night's number is the whole part of the exposure's MJD, as at Siding Spring, where no night meets 0 h UT.
-- severity: warn
-- inputs: stg_survey__images

SELECT image_id, night_mjd, date
FROM stg_survey__images
WHERE night_mjd <> floor(date)
