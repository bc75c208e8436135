"""What people do with runs: start, watch, cancel, resume and decide; and a workflow as a tool of an agent."""
