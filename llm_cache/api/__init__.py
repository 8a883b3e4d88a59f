"""What a user holds in hand: `LLMCache`, the decorator, `get_cache`.

May import everything but the command line. Users import these names from `llm_cache`.
"""
