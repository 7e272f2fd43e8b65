"""The pages of clips; only the API server imports this."""
