"""The kinds of tools of this app, one module each. Apps above register kinds of their own."""
