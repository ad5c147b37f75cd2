"""Ten times more than a gateway can answer, from many clients of whom one is greedy."""
