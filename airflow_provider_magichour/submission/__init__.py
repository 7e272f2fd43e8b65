"""Submitting once: a task that runs again finds what it has paid for."""
