"""The ASGI server: limits, the order of applications before Django, shutdown."""
