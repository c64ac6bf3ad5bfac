"""The simulator: books, margin, masks, observation, environments."""
