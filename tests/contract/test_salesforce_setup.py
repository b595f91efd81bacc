"""The fields we need in an org: made by the Tooling API and granted, or packed for an administrator to deploy."""

from __future__ import annotations

import io
import zipfile
from typing import Any
from xml.etree import ElementTree

import pytest
from salesforce_bench import Org, open_adapter
from salesforce_changes import note, outcomes, score, stage, task

from connector.adapter_kit.protocol import FieldSpec
from connector.adapters.salesforce.adapter import SalesforceAdapter
from connector.errors import AccessDeniedError, ApiChangedError, ConfigError
from connector.records import Outcome

SPECS = (
    FieldSpec("leads", "MQL_Score__c", "MQL Score", "number"),
    FieldSpec("leads", "MQL_Status__c", "MQL Status", "text"),
    FieldSpec("leads", "MQL_Reason__c", "MQL Reason", "text", is_long=True),
    FieldSpec("leads", "MQL_Became_At__c", "MQL Became At", "datetime"),
    FieldSpec("contacts", "MQL_Score__c", "MQL Score", "number"),
    FieldSpec("contacts", "MQL_Override__c", "MQLの判断", "choice", choices=(("mql", "する"), ("not_mql", "しない"))),
    FieldSpec("tasks", "MQL_Key__c", "MQL Key", "text", is_unique=True),
)


def test_a_prepared_org_needs_no_fields(adapter: SalesforceAdapter) -> None:
    assert list(adapter.setup(SPECS, create=False)) == []


def test_a_bare_org_is_set_up_and_then_written_to(org: Org) -> None:
    org.control("POST", "reset", {"prepared": False})
    adapter = open_adapter(org.url)
    assert list(adapter.setup(SPECS, create=False)) == list(SPECS)
    [lead] = org.leads(1)
    with pytest.raises(ApiChangedError, match="MQL_Key__c"):
        adapter.apply([task(lead)])
    assert list(adapter.setup(SPECS, create=True)) == list(SPECS)
    assert list(adapter.setup(SPECS, create=True)) == []
    changes = [stage(lead), score(lead), task(lead), note(lead)]
    assert set(outcomes(adapter.apply(changes))) == {Outcome.DONE}
    [key] = [field for field in adapter.discover_fields("tasks") if field.name == "MQL_Key__c"]
    assert key.is_unique
    [choice] = [field for field in adapter.discover_fields("contacts") if field.name == "MQL_Override__c"]
    assert (choice.type, choice.choices) == ("choice", ("mql", "not_mql"))
    adapter.close()


def test_setup_always_sees_to_the_tasks_key(org: Org) -> None:
    org.control("POST", "reset", {"prepared": False})
    adapter = open_adapter(org.url)
    assert [spec.name for spec in adapter.setup((), create=False)] == ["MQL_Key__c"]
    adapter.close()


def bare(org: Org, **switches: Any) -> SalesforceAdapter:
    org.control("POST", "reset", {"prepared": False})
    org.switch(**switches)
    return open_adapter(org.url)


def test_fields_that_nobody_may_see_yet_are_granted_to_the_integration_user_by_a_permission_set(org: Org) -> None:
    adapter = bare(org, new_fields_hidden=True)
    assert list(adapter.setup(SPECS, create=True)) == list(SPECS)
    assert list(adapter.setup(SPECS, create=True)) == []
    assert [one["Name"] for one in org.query("SELECT Name FROM PermissionSet")] == ["MQL_Connector"]
    assert len(org.query("SELECT Id FROM PermissionSetAssignment")) == 1
    granted = {row["Field"] for row in org.query("SELECT Field FROM FieldPermissions WHERE PermissionsEdit = true")}
    assert {"Lead.MQL_Score__c", "Task.MQL_Key__c", "Event.MQL_Key__c"} <= granted
    [lead] = org.leads(1)
    assert set(outcomes(adapter.apply([stage(lead), score(lead), task(lead), note(lead)]))) == {Outcome.DONE}
    adapter.close()


def test_a_set_up_that_was_killed_between_fields_and_grants_is_gone_on_with(org: Org) -> None:
    adapter = bare(org, new_fields_hidden=True, missing_rights=["permission_sets"])
    with pytest.raises(AccessDeniedError):
        adapter.setup(SPECS, create=True)
    org.switch(missing_rights=[])
    adapter.setup(SPECS, create=True)
    assert list(adapter.setup(SPECS, create=False)) == []
    adapter.close()


def test_fields_that_cannot_be_granted_are_named_with_what_an_administrator_does(org: Org) -> None:
    adapter = bare(org, new_fields_hidden=True, missing_rights=["permission_sets"])
    with pytest.raises(AccessDeniedError, match=r"Lead\.MQL_Score__c") as caught:
        adapter.setup(SPECS, create=True)
    assert "--package" in caught.value.hint
    adapter.close()


def test_a_user_who_may_not_make_fields_hears_of_the_package(org: Org) -> None:
    adapter = bare(org, missing_rights=["customize"])
    with pytest.raises(AccessDeniedError) as caught:
        adapter.setup(SPECS, create=True)
    assert "--package" in caught.value.hint
    assert adapter.package(SPECS)
    adapter.close()


def files_in(package: bytes | None) -> dict[str, ElementTree.Element]:
    assert package is not None
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        return {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist()}


def texts(root: ElementTree.Element, path: str) -> list[str | None]:
    return [found.text for found in root.findall("/".join(f"{{*}}{step}" for step in path.split("/")))]


def test_the_package_holds_every_missing_field_and_a_permission_set_that_grants_it(org: Org) -> None:
    adapter = bare(org)
    files = files_in(adapter.package(SPECS))
    assert list(files) == [
        "package.xml", "objects/Activity.object", "objects/Contact.object", "objects/Lead.object",
        "permissionsets/MQL_Connector.permissionset",
    ]
    fields = [
        "Activity.MQL_Key__c", "Contact.MQL_Override__c", "Contact.MQL_Score__c", "Lead.MQL_Became_At__c",
        "Lead.MQL_Reason__c", "Lead.MQL_Score__c", "Lead.MQL_Status__c",
    ]
    assert texts(files["package.xml"], "types/members") == [*fields, "MQL_Connector"]
    assert texts(files["package.xml"], "types/name") == ["CustomField", "PermissionSet"]
    assert texts(files["package.xml"], "version") == ["67.0"]
    granted = [*(name for name in fields if not name.startswith("Activity")), "Event.MQL_Key__c", "Task.MQL_Key__c"]
    permission_set = files["permissionsets/MQL_Connector.permissionset"]
    assert sorted(map(str, texts(permission_set, "fieldPermissions/field"))) == sorted(granted)
    assert set(texts(permission_set, "fieldPermissions/editable")) == {"true"}
    assert texts(files["objects/Lead.object"], "fields/fullName") == [
        "MQL_Became_At__c", "MQL_Reason__c", "MQL_Score__c", "MQL_Status__c"]
    assert texts(files["objects/Lead.object"], "fields/type") == ["DateTime", "LongTextArea", "Number", "Text"]
    key = files["objects/Activity.object"]
    assert [texts(key, f"fields/{name}") for name in ("unique", "externalId", "caseSensitive", "length")] == [
        ["true"], ["true"], ["true"], ["255"]]
    values = "fields/valueSet/valueSetDefinition/value"
    assert texts(files["objects/Contact.object"], f"{values}/fullName") == ["mql", "not_mql"]
    assert texts(files["objects/Contact.object"], f"{values}/label") == ["する", "しない"]
    assert all(root.tag.startswith("{http://soap.sforce.com/2006/04/metadata}") for root in files.values())
    adapter.close()


def test_the_same_org_gives_the_same_bytes_whatever_the_order_of_the_specs(org: Org) -> None:
    adapter = bare(org)
    assert adapter.package(SPECS) == adapter.package(tuple(reversed(SPECS)))
    adapter.close()


def test_a_package_leaves_fields_that_exist_as_they_are_and_still_grants_them(adapter: SalesforceAdapter) -> None:
    files = files_in(adapter.package(SPECS))
    assert list(files) == ["package.xml", "permissionsets/MQL_Connector.permissionset"]
    assert texts(files["package.xml"], "types/name") == ["PermissionSet"]
    assert len(texts(files["permissionsets/MQL_Connector.permissionset"], "fieldPermissions/field")) == 8


def test_a_field_of_another_kind_is_not_packed_over(adapter: SalesforceAdapter) -> None:
    with pytest.raises(ConfigError, match="MQL_Score__c"):
        adapter.package([FieldSpec("leads", "MQL_Score__c", "x", "datetime")])
