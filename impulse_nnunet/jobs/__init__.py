"""Long work: records of what it was made from, the processes that do it, locks, shards and submission."""
