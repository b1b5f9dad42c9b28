"""What a statement claims, and whether the sentences it cites bear it out: found mechanically, no model asked. Pure."""
