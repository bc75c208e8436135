"""Base classes, forms and lists that every page of the back office is built from. The pages are beside their models."""
