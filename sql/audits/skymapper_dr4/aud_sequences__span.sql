-- aud_sequences__span: a colour sequence lasts about 20 minutes and belongs to one night.
-- severity: warn
-- inputs: sequences, int_sequences__exposures

SELECT s.sequence_id, s.filters, s.span_min, count(DISTINCT e.night_mjd) AS n_nights
FROM sequences AS s
JOIN int_sequences__exposures AS e ON s.sequence_id = e.sequence_id
GROUP BY s.sequence_id, s.filters, s.span_min
HAVING s.span_min > 30 OR count(DISTINCT e.night_mjd) > 1
