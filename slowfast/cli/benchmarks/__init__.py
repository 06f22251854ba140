"""uniformer benchmark ..."""
