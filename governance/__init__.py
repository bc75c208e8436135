"""The floor everyone stands on: who may do what where, what was done, and who must hear of it.

It knows no app above it.
"""
