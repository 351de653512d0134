"""deploy/kubernetes: rendered by kustomize, and checked against Kubernetes' own schemas."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from tests.deploy.files import DEPLOY, check
from tests.support.processes import ROOT, run

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

CURRENT = (1, 35)
"""Schemas at least as new as those of this Kubernetes."""

Manifest = dict[str, Any]


@cache
def manifests() -> dict[str, Manifest]:
    """What kustomize makes of the folder, by the kind."""
    rendered = check("kubectl", "kustomize", DEPLOY / "kubernetes")
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all(rendered)}


def pod() -> Manifest:
    found: Manifest = manifests()["Deployment"]["spec"]["template"]["spec"]
    return found


def container() -> Manifest:
    (found,) = pod()["containers"]
    return dict(found)


def test_every_file_is_named_in_the_kustomization() -> None:
    folder = DEPLOY / "kubernetes"
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {file.name for file in folder.iterdir()} == {*named, "kustomization.yaml"}
    assert len(manifests()) == len(named)


def test_kubernetes_schemas_accept_them() -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="it is not installed")
    version = schemas.latest_version()
    assert tuple(map(int, version.split(".")[:2])) >= CURRENT
    for kind, manifest in manifests().items():
        if kind != "PodMonitor":  # the operator's
            schemas.validate(manifest, version, strict=True)


def test_the_check_would_notice() -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="it is not installed")
    manifest = {**manifests()["Service"], "spec": {"portz": []}}
    with pytest.raises(schemas.ValidationError):
        schemas.validate(manifest, schemas.latest_version(), strict=True)


def test_the_prometheus_operator_accepts_its_monitor() -> None:
    models = pytest.importorskip(
        "cloudcoil.models.prometheus_operator.v1", reason="its models are not installed"
    )
    monitor = manifests()["PodMonitor"]
    read = models.PodMonitor.model_validate(monitor)
    # It leaves out what it does not know; so whatever is there was known.
    assert read.model_dump(mode="json", by_alias=True, exclude_none=True) == monitor


def test_selectors_find_the_pods() -> None:
    labels = manifests()["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    found = [
        manifests()["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests()["Service"]["spec"]["selector"],
        manifests()["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        manifests()["PodMonitor"]["spec"]["selector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in pod()["topologySpreadConstraints"]),
    ]
    for selector in found:
        assert selector
        assert selector.items() <= labels
    # Which label Prometheus's rules know the job by.
    assert dict(labels)[manifests()["PodMonitor"]["spec"]["jobLabel"]] == "tcpecho"


def test_they_keep_the_restricted_pod_security_standard() -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["runAsUser"] > 0
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod())
    assert all("hostPort" not in port for port in container()["ports"])
    assert all({"secret"} & set(volume) for volume in pod()["volumes"])


def test_a_pod_has_time_to_end_and_needs_no_shell_for_it() -> None:
    options = dict(word.removeprefix("--").partition("=")[::2] for word in container()["args"])
    delay, drain = float(options["shutdown-delay"]), float(options["drain-timeout"])
    assert pod()["terminationGracePeriodSeconds"] > delay + drain
    # Long enough for the probe that takes it out of the Service, and for that to be known.
    probe = container()["readinessProbe"]
    assert delay >= 2 * probe["periodSeconds"] * probe["failureThreshold"] + 5
    assert "lifecycle" not in container()


def test_probes_ask_where_the_endpoint_is() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert f"--admin=http://*:{ports['admin']}" in container()["args"]
    paths = {
        name: container()[f"{name}Probe"]["httpGet"]
        for name in ("startup", "readiness", "liveness")
    }
    assert {name: get["path"] for name, get in paths.items()} == {
        "startup": "/healthz",
        "readiness": "/readyz",
        "liveness": "/healthz",
    }
    assert {get["port"] for get in paths.values()} == {"admin"}


def test_every_option_and_variable_exists() -> None:
    known = run("serve", "--help").stdout.decode()
    options = [word.partition("=")[0] for word in container()["args"] if word.startswith("--")]
    variables = [variable["name"] for variable in container()["env"]]
    options += [
        "--" + name.removeprefix("TCPECHO_SERVE_").lower().replace("_", "-")
        for name in variables
        if name.startswith("TCPECHO_")
    ]
    assert options
    for option in options:
        assert re.search(rf"{option}\b", known), option


def test_its_image_is_of_the_version_that_comes() -> None:
    version = re.findall(
        r'^__version__ = "([\d.]+)(?:\.dev\d+)?"',
        (ROOT / "tcpecho_trio/__init__.py").read_text(),
        re.M,
    )
    assert container()["image"].endswith(f":{version[0]}")
