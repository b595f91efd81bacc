"""Deal pipelines and their stages: HubSpot's own, and those an account adds.

Source: https://developers.hubspot.com/docs/api-reference/crm-pipelines-v3/guide, checked 2026-11-22. A stage of a
pipeline that was added has a number for its id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox.call import Call, Route, answer, nothing, type_named
from connector.adapters.hubspot.sandbox.errors import invalid, not_found
from connector.adapters.hubspot.sandbox.schema import DEAL
from connector.adapters.hubspot.sandbox.values import iso

_PIPELINE = (
    ("appointmentscheduled", "Appointment Scheduled", "0.2"), ("qualifiedtobuy", "Qualified To Buy", "0.4"),
    ("presentationscheduled", "Presentation Scheduled", "0.6"),
    ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"), ("contractsent", "Contract Sent", "0.9"),
    ("closedwon", "Closed Won", "1.0"), ("closedlost", "Closed Lost", "0.0"),
)


def list_pipelines(call: Call, object_type: str) -> Response:
    """Answer the object type's pipelines; types other than deals have none."""
    return call.page(_all(call) if type_named(object_type).id == DEAL else [], None)


def get_pipeline(call: Call, object_type: str, pipeline_id: str) -> Response:
    """Answer one pipeline."""
    return answer(_one(call, object_type, pipeline_id))


def list_stages(call: Call, object_type: str, pipeline_id: str) -> Response:
    """Answer a pipeline's stages."""
    return call.page(_one(call, object_type, pipeline_id)["stages"], None)


def create_pipeline(call: Call, object_type: str) -> Response:
    """Add a deal pipeline of `label` and `stages`; its stages can be written to deals from then on."""
    sent = call.body()
    if type_named(object_type).id != DEAL:
        raise invalid("Only deals can have another pipeline in this account", "PIPELINES_LIMIT")
    stages = sent.get("stages")
    if not sent.get("label") or not isinstance(stages, list) or not stages or not all(map(_is_stage, stages)):
        raise invalid("A pipeline needs a label, and stages with a label and a probability", "REQUIRED_FIELD")
    first_id, at = call.state.take_ids(call.account, len(stages) + 1), iso(call.now_ms)
    pipeline = _shown(str(first_id), str(sent["label"]), len(_all(call)), at, [
        (str(first_id + number), str(one["label"]), str(float(one["metadata"]["probability"])))
        for number, one in enumerate(stages, 1)
    ])
    _save(call, pipeline)
    _offer(call, "pipeline", [pipeline])
    _offer(call, "dealstage", pipeline["stages"])
    return answer(pipeline, status=201)


def archive_pipeline(call: Call, object_type: str, pipeline_id: str) -> Response:
    """Remove a pipeline that was added; deals keep the stage they have."""
    _one(call, object_type, pipeline_id)
    if pipeline_id == "default":
        raise invalid("The default pipeline cannot be deleted", "CANNOT_ARCHIVE")
    call.state.db.execute("DELETE FROM pipelines WHERE account=? AND id=?", (call.account, pipeline_id))
    return nothing()


def is_closed(call: Call, stage: str) -> tuple[bool, bool]:
    """Return whether a deal in this stage is closed, and whether it is won: its probability is 0 or 1, or 1."""
    for pipeline in _all(call):
        for one in pipeline["stages"]:
            if one["id"] == stage:
                probability = float(one["metadata"]["probability"])
                return probability in (0.0, 1.0), probability == 1.0
    return False, False


def _all(call: Call) -> list[dict[str, Any]]:
    rows = call.state.db.execute("SELECT definition FROM pipelines WHERE account=? ORDER BY id", (call.account,))
    own = _shown("default", "Sales Pipeline", 0, "2020-01-01T00:00:00Z", _PIPELINE)
    return [own, *(orjson.loads(text) for (text,) in rows)]


def _one(call: Call, object_type: str, pipeline_id: str) -> dict[str, Any]:
    if type_named(object_type).id == DEAL:
        for pipeline in _all(call):
            if pipeline["id"] == pipeline_id:
                return pipeline
    raise not_found(pipeline_id[:100])


def _save(call: Call, pipeline: dict[str, Any]) -> None:
    call.state.db.execute(
        "INSERT INTO pipelines VALUES (?,?,?)", (call.account, pipeline["id"], orjson.dumps(pipeline).decode())
    )


def _offer(call: Call, name: str, added: list[dict[str, Any]]) -> None:
    """Let a deal property take the ids of pipelines or stages that were added."""
    definition = call.properties.definition(call.account, DEAL, name)
    assert definition is not None
    definition["options"] += [
        {"label": one["label"], "value": one["id"], "displayOrder": len(definition["options"]) + place,
         "hidden": False, "description": ""}
        for place, one in enumerate(added)
    ]
    call.properties.save(call.account, DEAL, definition)


def _is_stage(one: Any) -> bool:
    if not isinstance(one, dict) or not one.get("label") or not isinstance(one.get("metadata"), dict):
        return False
    try:
        return 0.0 <= float(one["metadata"].get("probability", "")) <= 1.0
    except (TypeError, ValueError):
        return False


def _shown(
    pipeline_id: str, label: str, order: int, at: str, stages: Iterable[tuple[str, str, str]],
) -> dict[str, Any]:
    stamps = {"createdAt": at, "updatedAt": at, "archived": False}
    return {
        "id": pipeline_id, "label": label, "displayOrder": order, **stamps,
        "stages": [
            {"id": stage, "label": name, "displayOrder": place, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
             "metadata": {"isClosed": str(float(probability) in (0.0, 1.0)).lower(), "probability": probability},
             **stamps}
            for place, (stage, name, probability) in enumerate(stages)
        ],
    }


ROUTES: list[Route] = [
    ("GET", "/crm/v3/pipelines/<object_type>", list_pipelines),
    ("POST", "/crm/v3/pipelines/<object_type>", create_pipeline),
    ("GET", "/crm/v3/pipelines/<object_type>/<pipeline_id>", get_pipeline),
    ("DELETE", "/crm/v3/pipelines/<object_type>/<pipeline_id>", archive_pipeline),
    ("GET", "/crm/v3/pipelines/<object_type>/<pipeline_id>/stages", list_stages),
]
