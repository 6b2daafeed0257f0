-- Parameters of this project. One of skysy's names takes another value; a new name, with unit, meaning and source behind it, is a new
-- parameter for your own models. `skysy status` and meta.parameter tell what a build was made with; docs/cuts.md lists all of skysy's.

-- SET VARIABLE j_mag_max = 13.5;             -- [mag] brighter than the talk's 14.0, where 2MASS is best
SET VARIABLE dwarf_abs_j_mag_min = 4.0;       -- [mag] absolute J magnitude of a dwarf must be fainter (example of models/dwarf_flares.sql)
SET VARIABLE flare_sigma_min = 10.65;         -- rapid delta-u sigma of a flare (example of models/dwarf_flares.sql)
