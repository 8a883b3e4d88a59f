"""What a request, a value, a policy and an entry are: no I/O, no thread.

May import `llm_cache.errors` only.
"""
