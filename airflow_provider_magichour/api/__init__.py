"""Magic Hour's REST API, without Airflow."""
