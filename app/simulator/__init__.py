"""A fleet of providers on loopback that keeps its own limits, its own books and its own weather.

It judges what the product does, so it shares no code with it.
"""
