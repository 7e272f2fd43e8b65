"""Waiting for a project: on the worker and in the triggerer."""
