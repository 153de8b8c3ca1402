"""A synthetic chest CT cohort with lobes, segments, bronchi, arteries, veins and intersegmental veins."""
