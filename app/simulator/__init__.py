"""A fleet of providers on loopback that holds its own limits and keeps its own books."""
