"""For developing the provider: a real local Airflow, and the demo that runs on it. Not in the wheel."""
