-- aud_photometry__known_object: every object that has measurements is in the object catalogue.
-- severity: warn
-- scope: object
-- inputs: colours, int_selection__matched

SELECT c.object_id, c.n_nights_ug, c.n_nights_uv
FROM colours AS c
LEFT JOIN int_selection__matched AS m ON c.object_id = m.object_id
WHERE m.object_id IS NULL
