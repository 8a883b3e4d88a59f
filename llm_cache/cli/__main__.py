"""`python -m llm_cache.cli` is `llm-cache`."""

from llm_cache.cli.app import main

if __name__ == "__main__":
    main()
