"""Workspaces and their environments, to which everything else belongs."""
