"""The accounts that the contract suite runs on, by their adapters' names."""

from __future__ import annotations

from account_csv import CsvAccount
from account_hubspot import HubSpotAccount
from account_salesforce import SalesforceAccount
from accounts import Account, SandboxAccount

from connector.adapter_kit.sandbox.server import SandboxServer

ACCOUNTS: dict[str, type[Account]] = {one.crm: one for one in (CsvAccount, HubSpotAccount, SalesforceAccount)}


def open_account(crm: str, server: SandboxServer | None) -> Account:
    """Return a new account of a CRM, in its sandbox where it has one."""
    account = ACCOUNTS[crm]
    return account(server) if issubclass(account, SandboxAccount) else account()
