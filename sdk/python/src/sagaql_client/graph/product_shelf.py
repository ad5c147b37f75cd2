from typing import Optional

from .base_model import BaseModel


class ProductShelf(BaseModel):
    products: Optional["ProductShelfProducts"]


class ProductShelfProducts(BaseModel):
    edges: list["ProductShelfProductsEdges"]
    page_info: "ProductShelfProductsPageInfo"


class ProductShelfProductsEdges(BaseModel):
    node: "ProductShelfProductsEdgesNode"


class ProductShelfProductsEdgesNode(BaseModel):
    id: str
    sku: str
    name: str
    price: "ProductShelfProductsEdgesNodePrice"
    rating: Optional[float]
    stock: Optional["ProductShelfProductsEdgesNodeStock"]
    reviews: list["ProductShelfProductsEdgesNodeReviews"]


class ProductShelfProductsEdgesNodePrice(BaseModel):
    amount: int
    currency: str


class ProductShelfProductsEdgesNodeStock(BaseModel):
    quantity: int


class ProductShelfProductsEdgesNodeReviews(BaseModel):
    rating: int
    body: str


class ProductShelfProductsPageInfo(BaseModel):
    has_next_page: bool
    end_cursor: Optional[str]


ProductShelf.model_rebuild()
ProductShelfProducts.model_rebuild()
ProductShelfProductsEdges.model_rebuild()
ProductShelfProductsEdgesNode.model_rebuild()
