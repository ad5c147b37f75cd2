"""What generated types are made of: the SDK's own."""

from ..model import BaseModel as BaseModel
