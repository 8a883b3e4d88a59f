"""Entries as lines of JSON, to be carried to another cache.

May import `llm_cache.core` and `llm_cache.errors`. Door: `jsonl`.
"""
