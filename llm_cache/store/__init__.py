"""Stores of entries: the protocol, its records, and the store on SQLite.

A store gives entries of any age back and never generates. May import `llm_cache.core` and
`llm_cache.errors`. Doors: `protocol`, `records`, `stamps`, `findings`, and those of `sqlite`.
"""
