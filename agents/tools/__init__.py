"""The kinds of tools of this app, one file each. Apps above register kinds of their own."""
