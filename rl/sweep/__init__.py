"""A search over recipes: proposals, pruning, and what may be said of the result."""
