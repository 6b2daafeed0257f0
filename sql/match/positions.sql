-- positions: pairs of rows of two tables that stand within match_radius_arcsec of one another on the sky.
--
-- grain:  one row per pair; where match_find is 'best', one per left key: the nearest, of equally near ones the lowest right key
-- key:    left_key, right_key
-- inputs: match_left, match_right
--         views with the columns key, ra and dec [deg] at one epoch; the smaller table on the left is less work.
--         `skysy match LEFT RIGHT --sql` prints views, variables and this query for a DuckDB shell
-- source: an equal join on cells after Gray, Nieto-Santisteban and Szalay 2006, MSR-TR-2006-52 (zones); reach in right ascension
--         by their equation for alpha; distance by the haversine formula (Sinnott 1984, Sky and Telescope 68, 159)
-- nulls:  a row without key or position is in no pair; a variable that is not set gives no pair at all
-- rule:   the nearest is chosen among what is within the radius, its border included. Right ascension may be any number of turns

WITH bounds AS (
    SELECT
        -- In deg. The little more is for rounding: a neighbour at the very border must not be in a cell that nobody looks into.
        getvariable('match_radius_arcsec') / 3600e0 * 1.000001e0 + 1e-12 AS reach,
        -- Height of a zone, in deg: few places reach into a second one, and a crowded field has some tens of rows in a cell.
        greatest(16e0, 4 * getvariable('match_radius_arcsec')) / 3600e0 AS height
),

left_placed AS (
    SELECT key, CAST(ra AS DOUBLE) - 360 * floor(CAST(ra AS DOUBLE) / 360) AS ra, CAST(dec AS DOUBLE) AS dec
    FROM match_left
    WHERE key IS NOT NULL AND isfinite(CAST(ra AS DOUBLE)) AND abs(dec) <= 90
),

right_placed AS (
    SELECT key, CAST(ra AS DOUBLE) - 360 * floor(CAST(ra AS DOUBLE) / 360) AS ra, CAST(dec AS DOUBLE) AS dec
    FROM match_right
    WHERE key IS NOT NULL AND isfinite(CAST(ra AS DOUBLE)) AND abs(dec) <= 90
),

-- Each left row once for every zone of declination that its circle touches, with the circle's half-width in right ascension.
left_zones AS (
    SELECT
        key, ra, dec, height,
        CASE
            WHEN abs(dec) + reach >= 90 THEN 180
            ELSE degrees(asin(least(1, sin(radians(reach)) / cos(radians(dec)))))
        END AS half_width,
        unnest(range(CAST(floor((dec - reach) / height) AS BIGINT), CAST(floor((dec + reach) / height) AS BIGINT) + 1)) AS zone
    FROM left_placed, bounds
),

-- A zone is cut into so many cells of right ascension that they are about as wide as high; at the poles into one.
left_cut AS (
    SELECT *, greatest(1, floor(360 * cos(radians(zone * height)) / height)) AS cells
    FROM left_zones
),

left_ranges AS (
    SELECT
        key, ra, dec, zone, CAST(cells AS BIGINT) AS cells,
        CAST(floor((ra - half_width) * cells / 360) AS BIGINT) AS first_cell,
        CAST(floor((ra + half_width) * cells / 360) AS BIGINT) AS last_cell
    FROM left_cut
),

-- Cells before 0 and after 360 degrees are those of the other end. One number is a cell's name: no zone has 2^18 of them.
left_cells AS (
    SELECT
        key, ra, dec,
        zone * 262144 + (unnest(range(first_cell, least(last_cell + 1, first_cell + cells))) + cells) % cells AS cell
    FROM left_ranges
),

right_zones AS (
    SELECT key, ra, dec, height, floor(dec / height) AS zone
    FROM right_placed, bounds
),

right_cut AS (
    SELECT key, ra, dec, zone, greatest(1, floor(360 * cos(radians(zone * height)) / height)) AS cells
    FROM right_zones
),

-- A hair below 0 degrees is rounded to 360, which is the end of the last cell.
right_cells AS (
    SELECT key, ra, dec, CAST(zone * 262144 + least(cells - 1, floor(ra * cells / 360)) AS BIGINT) AS cell
    FROM right_cut
),

pairs AS (
    SELECT
        l.key AS left_key,
        r.key AS right_key,
        degrees(2 * asin(least(1, sqrt(
            sin(radians(r.dec - l.dec) / 2) ** 2
            + cos(radians(l.dec)) * cos(radians(r.dec)) * sin(radians(r.ra - l.ra) / 2) ** 2
        )))) * 3600 AS sep_arcsec
    FROM left_cells AS l
    JOIN right_cells AS r ON l.cell = r.cell
)

SELECT
    left_key,   -- key of the row of match_left
    right_key,  -- key of the row of match_right
    sep_arcsec  -- great-circle distance [arcsec] {pos.angDistance}
FROM pairs
WHERE sep_arcsec <= getvariable('match_radius_arcsec')
QUALIFY getvariable('match_find') = 'all'
    OR (getvariable('match_find') = 'best' AND row_number() OVER (PARTITION BY left_key ORDER BY sep_arcsec, right_key) = 1)
ORDER BY left_key, sep_arcsec, right_key
