"""Which entries a command is about: flags, ids and params as they are typed."""
