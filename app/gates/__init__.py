"""Floor 2. Redis: what is allowed now. Reservations, breaker, live averages."""
