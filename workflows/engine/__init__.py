"""How runs are executed: their states, the queue, leases, segments, the interpreter and its journal."""
