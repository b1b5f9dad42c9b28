"""Measurements and proofs on a whole yard: real servers, real workers, simulated providers."""
