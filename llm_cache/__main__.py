"""`python -m llm_cache` is `llm-cache`."""

from llm_cache.cli.app import main

if __name__ == "__main__":
    main()
