-- Stripe 82 has no colour sequences: its visits to a star within one night, 20 minutes to 4 hours apart, take their place.
SET VARIABLE sequence_gap_min_max = 720.0;    -- [min] all visits of one night are one sequence (drift scans of Stripe 82; Sesar et al. 2010)
SET VARIABLE sequence_exposures_max = 1000;   -- exposures of one star in one night: no bound
