"""Methods side by side: means with intervals, paired tests, tables."""
