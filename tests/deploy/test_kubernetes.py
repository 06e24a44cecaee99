"""What `deploy/kubernetes` asks a cluster for: as Kubernetes reads it, and as this service is."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr

from app.api.routes import health, metrics
from app.cli import server, supervisor
from app.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"

VERSION = kubernetes_validate.latest_version()

# What Kubernetes itself knows nothing of: of KEDA's kind as much as is used here.
SCALED_OBJECT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["scaleTargetRef", "triggers"],
            "properties": {
                "scaleTargetRef": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}},
                },
                "minReplicaCount": {"type": "integer", "minimum": 1},
                "maxReplicaCount": {"type": "integer"},
                "fallback": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["failureThreshold", "replicas"],
                    "properties": {"failureThreshold": {"type": "integer"}, "replicas": {"type": "integer"}},
                },
                "advanced": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "horizontalPodAutoscalerConfig": {
                            "type": "object",
                            "additionalProperties": False,
                            # Looked at as part of the object that KEDA makes of it.
                            "properties": {"behavior": {"type": "object"}},
                        }
                    },
                },
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["type", "metadata"],
                        "properties": {
                            "type": {"const": "prometheus"},
                            "metadata": {
                                "type": "object",
                                "additionalProperties": False,
                                "required": ["serverAddress", "query", "threshold"],
                                "properties": {
                                    "serverAddress": {"type": "string"},
                                    "query": {"type": "string"},
                                    "threshold": {"type": "string"},
                                    "ignoreNullValues": {"type": "string"},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def documents(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found is not None]


MANIFESTS = {
    f"{path.parent.name}/{manifest['kind']}/{manifest['metadata']['name']}": manifest
    for path in sorted(FOLDER.rglob("*.yaml"))
    if path.name != "kustomization.yaml"
    for manifest in documents(path)
}

KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))


def validate(manifest: dict[str, Any]) -> None:
    """Raise what jsonschema raises where Kubernetes, or KEDA, would refuse it, or ignore a part of it."""
    if manifest["kind"] != "ScaledObject":
        kubernetes_validate.validate(manifest, VERSION, strict=True)
        return
    jsonschema.validate(manifest, SCALED_OBJECT)
    spec = manifest["spec"]
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "keda"},
        "spec": {
            "maxReplicas": spec["maxReplicaCount"],
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]},
            "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
        },
    }
    kubernetes_validate.validate(autoscaler, VERSION, strict=True)


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, manifest in MANIFESTS.items():
        if "template" in manifest.get("spec", {}):
            yield name, manifest["spec"]["template"]["spec"]


PODS = dict(pods())


@pytest.mark.parametrize("name", MANIFESTS)
def test_each_manifest_is_one_that_kubernetes_takes(name: str) -> None:
    validate(MANIFESTS[name])


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("base/Deployment/respaldos-api", "spec.replicas", "two"),
        ("base/Deployment/respaldos-api", "spec.template.spec.containers.0.livenesprobe", {}),
        ("base/Deployment/respaldos-worker", "spec.template.spec.containers.0.securityContext.readOnlyRoot", True),
        ("base/PodDisruptionBudget/respaldos-api", "spec.maxUnavailable", [1]),
        ("base/NetworkPolicy/respaldos", "spec.egress", "all"),
        ("keda/ScaledObject/respaldos-worker", "spec.minReplicas", 2),
        ("keda/ScaledObject/respaldos-worker", "spec.triggers.0.metadata.threshold", 2),
        ("keda/ScaledObject/respaldos-worker", "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaledown", {}),
    ],
)
def test_a_broken_one_is_refused(name: str, path: str, value: object) -> None:
    broken: Any = copy.deepcopy(MANIFESTS[name])
    *way, last = path.split(".")
    place = broken
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(broken)


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: path.parent.name)
def test_kustomize_finds_what_it_names_and_leaves_nothing_out(path: Path) -> None:
    given = documents(path)[0]
    named = [*given.get("resources", ()), *given.get("components", ())]
    assert all((path.parent / each).exists() for each in named)
    manifests = {found.name for found in path.parent.glob("*.yaml")} - {path.name}
    assert manifests == {each for each in named if each.endswith(".yaml")}


def literals(path: Path) -> dict[str, str]:
    found = (line for generator in documents(path)[0].get("configMapGenerator", ()) for line in generator["literals"])
    return dict(line.split("=", 1) for line in found)


SECRETS = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}

# Together with a secret; AWS calls it no secret.
OF_A_SECRET = SECRETS | {"AWS_ACCESS_KEY_ID"}


@pytest.mark.parametrize("name", PODS)
def test_each_variable_is_a_setting_and_its_value_is_in_the_secret_alone(name: str) -> None:
    for container in PODS[name]["containers"]:
        for variable in container["env"]:
            assert variable["name"] in OF_A_SECRET
            assert variable.keys() == {"name", "valueFrom"}
            reference = variable["valueFrom"]["secretKeyRef"]
            assert (reference["name"], reference["key"]) == ("respaldos", variable["name"])


def test_the_settings_are_such_that_a_service_starts_with_them() -> None:
    url = SecretStr("postgresql://respaldos:clave@db:5432/clinicas")
    for path in KUSTOMIZATIONS:
        given = literals(path)
        assert not given.keys() & OF_A_SECRET
        assert {name.lower() for name in given} <= Settings.model_fields.keys()
        values: dict[str, Any] = {name.lower(): value for name, value in given.items()}
        values.setdefault("aws_backup_bucket_name", "respaldos")
        assert not Settings(_env_file=None, database_url=url, **values).embedded_servers


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_nothing_but_its_work(name: str) -> None:
    """What the Pod Security Standard called `restricted` asks for, and a file system that nobody writes to.

    But for a worker's exports, which are gone with it.
    """
    pod = PODS[name]
    context = pod["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] == context["runAsGroup"] == 10001
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    written = [{"name": "tmp", "emptyDir": {}}] if name.endswith("respaldos-worker") else []
    assert pod.get("volumes", []) == written
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_a_pod_is_given_the_time_that_its_process_takes_to_stop() -> None:
    worker, api = PODS["base/Deployment/respaldos-worker"], PODS["base/Deployment/respaldos-api"]
    assert worker["terminationGracePeriodSeconds"] > supervisor.STOP_SECONDS + supervisor.LAST_WORDS_SECONDS
    pause = int(api["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert api["terminationGracePeriodSeconds"] > pause + 2 * server.LAST_ANSWERS_SECONDS


def test_what_asks_the_api_asks_for_routes_that_there_are() -> None:
    routes = {route.path for router in (health.router, metrics.router) for route in router.routes}  # type: ignore[attr-defined]
    pod = PODS["base/Deployment/respaldos-api"]["containers"][0]
    probes = {name: pod[name]["httpGet"]["path"] for name in pod if name.endswith("Probe")}
    assert set(probes.values()) <= routes
    # Redis and S3 may be away, and lists and downloads still there.
    assert probes["readinessProbe"] == probes["livenessProbe"] == "/salud/viva"
    annotations = MANIFESTS["base/Deployment/respaldos-api"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in routes
