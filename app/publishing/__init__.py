"""Where editions go: one file a kind of target, one verb."""
