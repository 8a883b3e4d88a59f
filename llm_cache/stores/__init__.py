"""The durable maps of keys to entries. A store never judges age and never generates."""
