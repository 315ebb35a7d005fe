"""What the links to servers of every kind are made of: sockets, names, TLS, who may watch."""
