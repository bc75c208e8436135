"""Everything that writes in governance. Each is one transaction, keyword-only, and is told who acts."""
