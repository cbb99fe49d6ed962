"""From what was written by hand to the RunSpec."""
