from typing import Optional

from .base_model import BaseModel


class AddressInput(BaseModel):
    """Where an order goes."""

    name: str
    "Who receives it."
    street: str
    "Street and number."
    city: str
    "City or town."
    postal_code: str
    "As the country writes it."
    country: str
    "ISO 3166-1 alpha-2."


class CancelOrderInput(BaseModel):
    """Which order, and why."""

    order_id: str
    "The order."
    customer_id: Optional[str] = None
    "Who bought it: you, unless you are support and name the customer."
    reason: str
    "For whoever reads the order later."


class OrderLineInput(BaseModel):
    """How much of what."""

    sku: str
    "A product's `sku`."
    quantity: int
    "Pieces."


class PlaceOrderInput(BaseModel):
    """What is bought, by whom, how it is paid and where it goes."""

    customer_id: Optional[str] = None
    "Who buys: you, unless you are support and name a customer."
    lines: list["OrderLineInput"]
    "What is bought."
    payment_token: str
    "From the payment form; never a card number."
    address: "AddressInput"
    "Where it goes."


PlaceOrderInput.model_rebuild()
