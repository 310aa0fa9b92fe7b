"""What every edge is given: the database and the outside world, built once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from feira.platform.gateways.mail.port import MailSender
from feira.platform.gateways.payments.port import PaymentGateway
from feira.platform.gateways.search.port import SearchEngine
from feira.platform.gateways.shipping.port import CarrierRates
from feira.platform.gateways.storage.port import ObjectStore
from feira.platform.gateways.tax.port import TaxService
from feira.platform.runtime.config import Config
from feira.platform.runtime.tokens import AccessTokens
from feira.sql.database import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """One process's parts. Nothing here is global; tests build their own."""

    config: Config
    database: Database
    tokens: AccessTokens
    payments: PaymentGateway
    storage: ObjectStore
    search: SearchEngine
    mail: MailSender
    # Without one, the shops' own tables and the market's table of rates decide.
    carriers: CarrierRates | None = None
    tax_service: TaxService | None = None
