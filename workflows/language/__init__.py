"""What people write inside a definition: names, paths, conditions, and templates of values. Pure."""
