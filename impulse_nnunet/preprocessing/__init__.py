"""From raw data sets to what training reads: checks, survey, working volumes."""
