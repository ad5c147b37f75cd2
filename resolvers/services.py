"""The services that this graph is made of, by name; gateway.toml says where they are."""

from gateway import Service

catalog = Service("catalog")
customers = Service("customers")
inventory = Service("inventory")
orders = Service("orders")
payments = Service("payments")
reviews = Service("reviews")
shipping = Service("shipping")
