"""The admin site, its navigation, the first page and the metrics."""
