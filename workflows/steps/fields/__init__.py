"""The classes of fields that steps have: plain values, references, conditions, headers, secrets."""
