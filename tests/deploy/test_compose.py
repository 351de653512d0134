"""deploy/compose.yaml: as the Compose specification has it, and what it names is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import DEPLOY, check
from tests.support.processes import ROOT, run

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
FILE = DEPLOY / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def checked(compose: dict[str, Any]) -> None:
    """Read it as the specification says (a parser of its own, in Rust)."""
    compose_spec = pytest.importorskip("compose_spec", reason="compose-spec is not installed")
    # Anchors and merges are YAML's, and resolved.
    read = compose_spec.PyCompose.from_json(json.dumps(compose))
    read.validate()


def test_it_is_as_the_specification_has_it() -> None:
    checked(COMPOSE)


@pytest.mark.parametrize(
    ("service", "key", "value", "why"),
    [
        ("echo-a", "stop_grace_periodd", "20s", "stop_grace_periodd"),
        ("echo-a", "read_only", "perhaps", "boolean"),
        ("echo-a", "stop_grace_period", "20 parsecs", "parsecs"),
        ("grafana", "networks", ["nowhere"], "nowhere"),
        ("prometheus", "secrets", ["nobody-knows"], "nobody-knows"),
    ],
)
def test_the_check_would_notice(service: str, key: str, value: object, why: str) -> None:
    pytest.importorskip("compose_spec", reason="compose-spec is not installed")
    wrong = json.loads(json.dumps(COMPOSE))
    wrong["services"][service][key] = value
    with pytest.raises(ValueError, match=why):
        checked(wrong)


def test_podman_compose_reads_it() -> None:
    said = yaml.safe_load(check("podman-compose", "-f", FILE, "config"))
    assert set(said["services"]) == set(SERVICES)


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = [
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume.startswith(".")
    ]
    assert len(mounted) >= 4
    for place in mounted:
        assert (FILE.parent / place).exists(), place
    build = SERVICES["echo-a"]["build"]
    assert (FILE.parent / build["context"] / build["dockerfile"]).is_file()


def test_its_secret_stays_out_of_git_and_of_the_image() -> None:
    secret = COMPOSE["secrets"]["admin-token"]["file"].removeprefix("./")
    assert f"/deploy/{secret}" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert "!deploy" not in ignored


def test_nothing_is_reached_from_elsewhere_or_may_do_more_than_it_has_to() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_a_server_has_time_to_end() -> None:
    options = dict(
        word.removeprefix("--").partition("=")[::2] for word in SERVICES["echo-a"]["command"]
    )
    grace = float(SERVICES["echo-a"]["stop_grace_period"].removesuffix("s"))
    assert grace > float(options["shutdown-delay"]) + float(options["drain-timeout"])


def test_every_option_exists() -> None:
    known = run("serve", "--help").stdout.decode()
    for name in ("echo-a", "echo-b"):
        for word in SERVICES[name]["command"]:
            option = word.partition("=")[0]
            assert not option.startswith("--") or re.search(rf"{option}\b", known), option


def test_haproxys_variables_are_those_of_its_file() -> None:
    given = set(SERVICES["haproxy"]["environment"])
    assert given == set(re.findall(r"\$\{(\w+)-", Path(DEPLOY, "haproxy/haproxy.cfg").read_text()))
