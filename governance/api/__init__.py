"""What every endpoint has in common: parsing, errors, envelope, paging, schema. Domain apps build their views on it.

It lives here and not in `promptops`, since the apps may not import upwards (docs/adr/0001-where-the-api-base-lives.md).
"""
