"""Prompts: named bodies with typed variables, known by a hash of their content, pinned by the runs that use them."""
