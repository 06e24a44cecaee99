"""When traces are sent, and what is said where they cannot be."""

import sys

import pytest

from app import tracing
from app.errors import SettingsError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
COLLECTOR = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SERVICE_NAME": "respaldos"},
        {ENDPOINT: COLLECTOR, "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: COLLECTOR, "OTEL_SDK_DISABLED": "True"},
    ],
)
def test_without_an_address_or_when_told_not_to_nothing_happens(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing.start("respaldos")
    assert not tracing.enabled()
    assert tracing.carried() == {}
    with tracing.span("nada", parent="esto no es ninguna traza", clinica_id=1):
        pass


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({ENDPOINT: COLLECTOR, "OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: «zipkin» no vale"),
        ({ENDPOINT: COLLECTOR, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL: «grpc» no vale"),
        # It may hold a password.
        ({ENDPOINT: "usuario:clave@colector:4318"}, f"{ENDPOINT}: el valor dado no vale"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: el valor dado no"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        tracing.start("respaldos")
    assert str(caught.value).startswith(said)
    assert "clave" not in str(caught.value)


def test_an_installation_that_cannot_send_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .* instale respaldos\[traces\]"):
        tracing.start("respaldos")
