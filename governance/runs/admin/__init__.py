from governance.runs.admin import runs

__all__ = ["runs"]
