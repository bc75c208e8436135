"""The change log: what clients are served, revision by revision."""
