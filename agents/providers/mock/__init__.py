"""A provider that needs no network and no key: it gives the same answer to the same prompt."""
