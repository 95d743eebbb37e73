import jsonschema
import pytest

from service.event import EventModel

SCHEMA = EventModel.model_json_schema(by_alias=True)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ({"text": "a"}, True),
        ({"text": "a", "reach": 3.5, "unknown": 1}, True),
        ({"image": {"bytes": "AA=="}}, True),
        ({"image": [{"url": "https://x"}]}, True),
        ({"image": {"media_type": "image/png"}}, False),
        ({"id": "x" * 257}, False),
        ({"reach": -1}, False),
        ({"topics": ["t"] * 17}, False),
        ({"text": 5}, False),
    ],
)
def test_the_published_schema_says_what_the_daemon_accepts(value, valid):
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(value) is valid
