"""Prometheus' rules, Grafana's dashboard and KEDA's query, beside the numbers that the service gives."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.respaldos.models import Estado
from app.settings import CopyBucket, Settings
from tests.api.conftest import (
    _one_session_for_s3,
    add_backup,
    app,
    client,
    conn,
    database,
    rclone_server,
    redis_server,
    redis_url,
    store,
    template,
)
from tests.api.conftest import settings as settings_without_copies
from tests.respaldos.conftest import SMALL

__all__ = [
    "_one_session_for_s3",
    "app",
    "client",
    "conn",
    "database",
    "rclone_server",
    "redis_server",
    "redis_url",
    "settings_without_copies",
    "store",
    "template",
]

ROOT = Path(__file__).parents[2]

Metrics = dict[str, set[str]]


def rules() -> list[dict[str, Any]]:
    given = yaml.safe_load((ROOT / "deploy/prometheus/respaldos.rules.yaml").read_text(encoding="utf-8"))
    return [rule for group in given["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / "deploy/grafana/respaldos.json").read_text("utf-8"))["panels"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Each with a name."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']}-{target['refId']}", target["expr"]
    scaled = yaml.safe_load((ROOT / "deploy/kubernetes/keda/scaled-object.yaml").read_text(encoding="utf-8"))
    yield "KEDA", scaled["spec"]["triggers"][0]["metadata"]["query"]


QUERIES = dict(queries())


@pytest.fixture
def settings(settings_without_copies: Settings) -> Settings:
    """With a bucket for second copies, of which there are numbers, too."""
    copies = (CopyBucket(name="oficina", bucket="copia", endpoint_url="http://127.0.0.1:9"),)
    return settings_without_copies.model_copy(update={"copy_buckets": copies})


@pytest.fixture
async def given(client: httpx.AsyncClient, conn: asyncpg.Connection) -> Metrics:
    """Every metric that the service gives, with the labels that it has, once there is something to tell."""
    now = datetime.now(UTC)
    await add_backup(conn, SMALL, fecha_respaldo=now - timedelta(hours=2))
    await conn.execute("INSERT INTO respaldos.politica (clinica_id, dias) VALUES ($1, '{0}')", SMALL)
    answer = await client.get("/metrics")
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def check(query: str, metrics: Metrics) -> None:
    """Raise ValueError where it is no PromQL, or asks for a metric or a label that there is not."""
    expr = promql_parser.parse(query)
    labels: set[str] = set()

    def look(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            if node.name not in metrics:
                raise ValueError(f"no such metric: {node.name}")
            labels.update(metrics[node.name])
            for matcher in node.matchers.matchers:
                if matcher.name not in metrics[node.name]:
                    raise ValueError(f"{node.name} has no label {matcher.name}")
                if matcher.name == "estado" and matcher.value not in list(Estado):
                    raise ValueError(f"no such estado: {matcher.value}")

    promql_parser.walk(expr, look)

    def look_at_groups(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            for label in node.modifier.labels:
                if label not in labels:
                    raise ValueError(f"no such label: {label}")

    promql_parser.walk(expr, look_at_groups)


async def test_each_query_asks_for_what_the_service_gives(given: Metrics) -> None:
    for name, query in QUERIES.items():
        try:
            check(query, given)
        except ValueError as exc:
            pytest.fail(f"{name}: {exc}")


@pytest.mark.parametrize(
    "broken",
    [
        "max(respaldos_cola_trabajos",
        "max(respaldos_cola)",
        'respaldos_total{estados="fallido"}',
        'respaldos_total{estado="failed"}',
        "max by (clinica) (respaldos_ultimo_bueno_edad_segundos)",
    ],
)
async def test_a_query_for_something_else_is_noticed(given: Metrics, broken: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each says something else)
        check(broken, given)


async def test_every_number_is_on_the_dashboard(given: Metrics) -> None:
    asked = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    # A counter comes with when it was made.
    assert {name for name in given if not re.search(rf"\b{name}\b", asked)} <= {
        "respaldos_arriendos_vencidos_created"
    }


def test_it_is_written_what_to_do_about_each_alert() -> None:
    text = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [rule["alert"] for rule in rules()]


def test_each_rule_says_how_bad_it_is_and_what_has_happened() -> None:
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[mhd]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in {"critical", "warning"}
        labels = set(re.findall(r"\$labels\.(\w+)", summary := rule["annotations"]["summary"]))
        assert all(f"by ({label})" in rule["expr"] for label in labels), summary
