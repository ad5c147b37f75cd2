"""`make bench-sagas`: what durable mutations cost, and how many there can be."""
