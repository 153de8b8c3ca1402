"""Does a case look like the training cases? Facts of a case, what the planner learned of them, and what is found."""
