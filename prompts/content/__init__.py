"""The content of prompts: the protocol of every kind of content, its kinds, and the rules for variables. Pure."""
