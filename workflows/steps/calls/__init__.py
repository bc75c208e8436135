"""Steps that call something else: a model, an agent, an address, a prompt of the registry."""
