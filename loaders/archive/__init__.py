"""From a live archive to rows in the warehouse: plan, fetch, verify, commit."""
