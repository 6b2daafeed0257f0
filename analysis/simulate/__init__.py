"""A seeded sky in the archives own shapes."""
