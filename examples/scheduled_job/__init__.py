"""A scheduled job: two beats fire it seconds apart, and it runs once for each due time."""
