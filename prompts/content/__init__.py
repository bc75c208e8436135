"""What a prompt says: the protocol that every kind of content has, its kinds, and the rules for variables. Pure."""
