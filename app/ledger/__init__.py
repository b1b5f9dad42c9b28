"""Floor 2. Postgres: what must be true tomorrow."""
