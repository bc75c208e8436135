"""Serves bench.servers.bare as `manage.py serve` serves PromptOps: the same server, protocols and settings."""

import sys

import uvicorn

from promptops.management.commands.serve import uvicorn_settings

if __name__ == "__main__":
    uvicorn.run("bench.servers.bare:application", **{**uvicorn_settings(port=int(sys.argv[1])), "log_level": "warning"})
