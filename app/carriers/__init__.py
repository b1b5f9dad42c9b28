"""How a message leaves for a receiver that somebody named: one file a way."""
