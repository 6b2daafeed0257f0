"""What SQL is not for: density score, simulation, figures, report."""
