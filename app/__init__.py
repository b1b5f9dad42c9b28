"""Switchyard: bulk answers from a fleet of unreliable providers."""
