"""What a function means to the cache: its arguments as params, its type, what it is registered as.

May import `llm_cache.core` and `llm_cache.errors`. Doors: `binding`, `registry`, `returns`,
`callables`.
"""
