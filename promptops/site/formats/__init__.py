"""How the back office writes times and numbers, a folder for each language."""
