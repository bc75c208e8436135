"""Steps that make data from data, and call nothing."""
