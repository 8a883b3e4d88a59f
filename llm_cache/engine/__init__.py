"""How one request is answered: memory, store, single flight, generation.

May import `store`, `config`, `functions`, `core` and `errors`. `engine` wires the components of one
cache; `_lookup` is the way of a request.
"""
