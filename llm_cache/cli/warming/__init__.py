"""What `llm-cache warm` shows: the plan, how far it is, and what became of it."""
