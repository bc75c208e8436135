"""Who may do what: actors, roles, capabilities, and the filter of visible rows."""
