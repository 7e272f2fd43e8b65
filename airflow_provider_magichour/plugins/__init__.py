"""Plugins for Airflow's own processes."""
