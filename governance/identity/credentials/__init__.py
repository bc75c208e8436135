"""Secrets of users and tokens: read from requests, hashed, and cached or stored as digests."""
