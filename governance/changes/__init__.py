"""The change log, revision by revision; and drafts and versions, which are published and rolled back."""
