"""What is said in several places; imports nothing, as a task that is killed says it too."""

from __future__ import annotations


def goes_on(cost: str = "its credits") -> str:
    """Say what becomes of a project that its task has left: the API has no cancel."""
    return f"The project goes on and costs {cost}; a retry or a clear of this task finds it again."
