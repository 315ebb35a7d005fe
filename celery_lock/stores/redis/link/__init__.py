"""The link to one Redis or Valkey server: calls with a deadline, over connections of our own."""
