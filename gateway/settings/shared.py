"""The store that several gateways share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ..clock import Seconds
from ..shared import StoreAddress, address_of
from .concern import Concern, LongerThanZero


class SharedSettings(Concern):
    """A store that several gateways share: Redis or Valkey. It makes them know more, and is never needed for an answer."""

    url: SecretStr | None = None
    """Where it is: "redis://user:password@host:6379/0", "rediss://" with TLS. Write ${NAME} and keep it in the environment. None:
    each process goes by its own memory. Needs the extra: pip install 'sagaql[redis]'."""
    timeout: LongerThanZero = Seconds(0.05)
    """Seconds that a request waits for it. 50 ms: a hundred times what one in the same network takes, and not yet what people
    notice. Five failures in a row, or half of twenty, and it is left alone for a while."""
    prefix: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")] = "sagaql:"
    """How every key begins. Gateways that share a store and must not know one another's have different ones."""
    ca_file: str | None = None
    """Certificates (PEM) that a rediss:// address is verified against; None: the system's. There is no way to verify nothing."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            address_of(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _certificates_have_a_use(self) -> Self:
        address = self.address
        if self.ca_file is not None and (address is None or not address.is_encrypted):
            raise ValueError("ca_file is given, and url is not encrypted: write rediss:// in url, or leave ca_file out")
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise ValueError(f"ca_file is {self.ca_file!r}: there is no such file")
        return self

    @property
    def address(self) -> StoreAddress | None:
        """The URL, read."""
        return None if self.url is None else address_of(self.url.get_secret_value())
