"""Other people's ways to answer the same queries, each written as its own documentation would have it."""
