"""The secrets that prove who somebody is: read from a request, hashed, and remembered as digests."""
