"""A real archive on loopback for tests: GAVO DaCHS (TAP, UWS, cone search) with the tables of a simulated sky."""
