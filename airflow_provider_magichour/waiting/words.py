"""Texts that are used in several places; imports nothing, as a task that is killed uses them too."""

from __future__ import annotations


def goes_on(cost: str = "its credits") -> str:
    """Say what becomes of a project that its task has left: the API cannot cancel."""
    return f"The project keeps running and costs {cost}. To pick it up again, retry or clear this task."
