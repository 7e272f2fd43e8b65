"""Submitting once: a task that runs again finds the project that it has paid for."""
