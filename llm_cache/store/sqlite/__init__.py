"""The store on this machine: one SQLite file in the cache directory, shared by many processes.

Doors: `store` (the store itself), `snapshot` (reading without a trace), `check_files` and
`check_content` (what `doctor` looks at).
"""
