"""Fetch a prompt and fill it in.

Against `make run`: PROMPTOPS_BASE_URL=http://127.0.0.1:8000 PROMPTOPS_API_KEY=<token> python fetch.py greeting name=Ada
"""

import sys

from promptops_client import PromptOps

key, *pairs = sys.argv[1:] or ["greeting", "name=Ada"]
variables = dict(pair.split("=", 1) for pair in pairs)

with PromptOps(app="example fetch.py") as prompts:
    prompt = prompts.get_prompt(key, unit="user-1", fallback="Hello {{name}}, the server knows no such prompt.")
    print(f"{prompt.key} {prompt.version} asks for {', '.join(prompt.variables) or 'nothing'}")
    print(prompt.render(variables))
