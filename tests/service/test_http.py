"""Probes and metrics over HTTP, as an orchestrator and a scraper ask."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from service.errors import UnreachableError
from service.health import Health
from service.http import HttpServer


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[HttpServer]:
    registry = CollectorRegistry()
    Gauge("tidegate_answer", "The answer.", registry=registry).set(42)
    made = HttpServer("127.0.0.1", 0, health, registry)
    yield made
    made.close()


def get(server: HttpServer, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(server.address + path, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_a_failing_probe_is_503_with_its_reasons(server: HttpServer, health: Health):
    health.trouble("output", "broker_unreachable")
    status, kind, body = get(server, "/readyz")
    assert (status, kind) == (503, "application/json")
    assert json.loads(body)["reasons"]["output"] == "broker_unreachable"


def test_a_passing_probe_is_200_with_none(server: HttpServer, health: Health):
    health.started()
    for probe in ("livez", "readyz", "startupz"):
        assert get(server, f"/{probe}")[0] == 200
    assert json.loads(get(server, "/livez?verbose")[2]) == {"status": "ok", "reasons": {}}


def test_head_is_get_without_a_body(server: HttpServer):
    for path, status in (("/livez", 200), ("/readyz", 503), ("/metrics", 200), ("/nothing", 404)):
        asked = urllib.request.Request(server.address + path, method="HEAD")
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            said = error.code, error.read()
        assert said == (status, b""), path


@pytest.mark.parametrize("host", ["localhost", "::1", "[::1]"])
def test_loopback_has_several_names(host: str, health: Health):
    made = HttpServer(host, 0, health, CollectorRegistry())
    try:
        assert get(made, "/livez")[0] == 200
    finally:
        made.close()


def test_metrics_are_text_for_prometheus(server: HttpServer):
    status, kind, body = get(server, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain")
    assert "tidegate_answer 42.0" in body


def test_any_other_address_is_404(server: HttpServer):
    assert get(server, "/")[0] == 404


def test_nothing_but_reading_is_allowed(server: HttpServer):
    request = urllib.request.Request(server.address + "/metrics", method="POST", data=b"")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 501


def test_a_port_that_is_taken_is_a_configuration_error(server: HttpServer, health: Health):
    with pytest.raises(UnreachableError, match=r"http\.host, http\.port.*Choose a free port"):
        HttpServer("127.0.0.1", server.port, health, CollectorRegistry())


def test_what_is_degraded_stands_beside_the_reasons_of_readiness(server: HttpServer, health: Health):
    health.started()
    health.note("engine", "the processor serves")
    status, _, body = get(server, "/readyz")
    assert (status, json.loads(body)) == (
        200, {"status": "ok", "reasons": {}, "degraded": {"engine": "the processor serves"}},
    )  # fmt: skip
    assert "degraded" not in json.loads(get(server, "/livez")[2])
