"""What needs no models of a domain: errors, the registry, database helpers, encryption, logs, system checks."""
