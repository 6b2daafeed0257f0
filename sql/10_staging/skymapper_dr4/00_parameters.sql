-- What SkyMapper DR4 has otherwise than DR2.
SET VARIABLE cuts_not_available = ['single_child']; -- dr4.master does not tell how many child sources were merged (no nch_max)
SET VARIABLE sequence_image_types = ['ms', '3ps']; -- DR4 mixes programmes: sequences are found by field, pauses, exposure time and filters; that 3ps has any is not confirmed
SET VARIABLE archive_dec_deg = [-90, 30];     -- [deg] field centres of DR4 go up to +28
