"""`make bench-resilience`: what the stack costs, and what it is good for."""
