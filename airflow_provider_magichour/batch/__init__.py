"""A batch in one task: many projects of one tool, each paid for once."""
