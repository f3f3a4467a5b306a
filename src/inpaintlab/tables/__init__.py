"""Tables of the papers: what was published, what was measured here, and how sure the difference is."""
