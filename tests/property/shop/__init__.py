"""A shop in one process: a broker, workers and a store, of which a play moves each step."""
