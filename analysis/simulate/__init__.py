"""A seeded sky in the archives' own shapes: what every cut and every statistic is measured against."""
