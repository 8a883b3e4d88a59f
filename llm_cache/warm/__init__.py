"""Making what `[[warm]]` lists before anybody asks for it.

May import `engine` and everything below it. Doors: `plan`, `run`, `budget`, `estimate`.
"""
