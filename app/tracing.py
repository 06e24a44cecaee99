"""Traces: how long each step of a request and of a job took, sent to where the OTEL_* variables say.

Without them nothing happens, and OpenTelemetry, whose import takes longer than a command, is not imported. A span
tells what was done, to which row, and how it ended: no SQL, no value of a clinic's, no sentence of an error, since
these quote what people wrote.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from importlib.metadata import version
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import urlsplit

from app.errors import RespaldosError, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span, SpanProcessor
    from opentelemetry.trace import Tracer

P = ParamSpec("P")
T = TypeVar("T")

# In the JSON of what is asked for here and done elsewhere, by the name that W3C gave it.
TRACEPARENT = "traceparent"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_tracer: "Tracer | None" = None


def start(service: str) -> None:
    """Send this process's traces from now on until it ends, where the environment wants that, as that `service`.

    Raises SettingsError where a variable asks for what this installation cannot do.
    """
    global _tracer
    if _tracer is not None or not _wanted():
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"{_endpoint()[0]}: esta instalación no sabe enviar trazas; instale respaldos[traces] o quite la variable"
        ) from exc
    ours = Resource({"service.name": service, "service.version": version("respaldos")})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(_without_queries())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("respaldos")


def enabled() -> bool:
    """Whether this process sends traces."""
    return _tracer is not None


@contextmanager
def span(
    name: str, *, parent: str | None = None, current: bool = True, **attributes: str | int | None
) -> Iterator[None]:
    """Time the block as a part of what is under way, or of the trace `parent` (a `traceparent`).

    None is no attribute. What begins in the block is a part of it, but where it is not `current`: for a generator,
    whose blocks stay open while its caller goes on.
    """
    if _tracer is None:
        yield
        return
    from opentelemetry.trace import Status, StatusCode, use_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract({TRACEPARENT: parent}) if parent is not None else None
    given = {f"respaldos.{key}": value for key, value in attributes.items() if value is not None}
    started = _tracer.start_span(name, context=context, attributes=given)
    try:
        using = use_span(started, record_exception=False, set_status_on_exception=False)
        with using if current else nullcontext():
            yield
    except GeneratorExit:
        # Whoever took what a generator gives has had enough.
        raise
    except BaseException as exc:
        started.set_attribute("error.type", exc.code if isinstance(exc, RespaldosError) else type(exc).__name__)
        started.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        started.end()


def traced(name: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Have a coroutine function be a span of that name whenever it is called."""

    def of(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @wraps(function)
        async def within_span(*args: P.args, **kwargs: P.kwargs) -> T:
            with span(name):
                return await function(*args, **kwargs)

        return within_span

    return of


def carried() -> dict[str, str]:
    """What takes the trace along to whoever goes on with it: its TRACEPARENT, for `span`, where there is one."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return {key: value for key, value in carrier.items() if key == TRACEPARENT}


def _endpoint() -> tuple[str, str]:
    """The variable that says where to, and its value; an empty one where none does."""
    return next(((name, value) for name in _ENDPOINTS if (value := os.environ.get(name, ""))), ("", ""))


def _wanted() -> bool:
    name, endpoint = _endpoint()
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if not endpoint or exporter == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if exporter != "otlp":
        raise SettingsError(f"OTEL_TRACES_EXPORTER: «{exporter}» no vale; debe ser otlp o none")
    for variable in _PROTOCOLS:
        if (protocol := os.environ.get(variable) or "http/protobuf") != "http/protobuf":
            raise SettingsError(f"{variable}: «{protocol}» no vale; debe ser http/protobuf")
    address = urlsplit(endpoint)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise SettingsError(f"{name}: el valor dado no vale; debe ser una dirección http:// o https://")
    return True


def _without_queries() -> "SpanProcessor":
    from opentelemetry.sdk.trace import SpanProcessor

    class WithoutQueries(SpanProcessor):
        """Takes from FastAPI's spans what people searched for."""

        def on_start(self, span: "Span", parent_context: object = None) -> None:  # noqa: ARG002
            if "url.query" in (span.attributes or {}):
                span.set_attribute("url.query", "REDACTED")

    return WithoutQueries()
