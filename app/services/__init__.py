"""Floor 3. Sequences: first this, then that."""
