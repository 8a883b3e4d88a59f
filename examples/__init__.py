"""How an application uses the cache."""
