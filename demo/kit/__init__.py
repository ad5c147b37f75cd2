"""What the seven services share: durable writes, fault switches, traffic records and the seeded plan of the shop."""
