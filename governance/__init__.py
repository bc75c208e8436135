"""What every app builds on: users and access, workspaces, audit, the change log and its delivery, the run log.

It imports none of the apps above it. What they bring is in the registry (governance.core.registry).
"""
