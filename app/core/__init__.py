"""Floor 0. Chooses, compares, counts votes, words prompts. No clock, no randomness, no I/O."""
