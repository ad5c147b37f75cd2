from datetime import datetime
from typing import Optional

from .base_model import BaseModel
from .enums import SagaStatus, StepStatus


class Saga(BaseModel):
    saga: Optional["SagaSaga"]


class SagaSaga(BaseModel):
    id: str
    name: str
    status: SagaStatus
    steps: list["SagaSagaSteps"]
    created_at: datetime
    ended_at: Optional[datetime]
    cause: Optional[str]


class SagaSagaSteps(BaseModel):
    name: str
    status: StepStatus
    attempts: int
    undo_attempts: int
    code: Optional[str]


Saga.model_rebuild()
SagaSaga.model_rebuild()
