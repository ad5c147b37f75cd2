from datetime import datetime
from typing import Optional

from .base_model import BaseModel
from .enums import SagaStatus


class SagaEvents(BaseModel):
    saga_events: "SagaEventsSagaEvents"


class SagaEventsSagaEvents(BaseModel):
    sequence: int
    at: datetime
    kind: str
    step: Optional[str]
    attempt: Optional[int]
    code: Optional[str]
    saga: "SagaEventsSagaEventsSaga"


class SagaEventsSagaEventsSaga(BaseModel):
    status: SagaStatus


SagaEvents.model_rebuild()
SagaEventsSagaEvents.model_rebuild()
