"""What waiting for many projects costs, measured side by side with what people use today: ``make bench``."""
