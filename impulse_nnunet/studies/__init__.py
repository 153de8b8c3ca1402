"""The paper's tables and figures on any data set: the systems, their training and scores, and the drawings."""
