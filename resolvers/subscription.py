"""The root of subscriptions."""

import strawberry

from gateway import SagaEvents


@strawberry.type(description="Whatever can be followed.")
class Subscription(SagaEvents):
    pass
