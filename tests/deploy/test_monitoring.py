"""deploy/prometheus and grafana: what they ask for is there, and alerts come when they should."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.deploy.files import DEPLOY, check, running, tool
from tests.deploy.test_proxies import admin_port
from tests.networks.backend import ask, backend, connect, leave
from tests.support.processes import ROOT
from tests.support.victim import PATIENCE, Victim

RULES = DEPLOY / "prometheus" / "tcpecho.rules.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "tcpecho.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [
    *(target["expr"] for panel in PANELS for target in panel.get("targets", ())),
    *(annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]),
]
COLUMNS = 24
"""Of Grafana's grid."""

OF_PROMETHEUS = {"up"}
FROM_PROMETHEUS = {"instance", "job"}
"""A series and labels that Prometheus itself adds."""


def rules() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def server() -> Iterator[Victim]:
    with backend("--admin", "http://127.0.0.1:0", "--log-probes") as victim:
        with connect(victim.port) as client:
            assert ask(client, "hola") == "HOLA"
            leave(client)
        yield victim


@pytest.fixture(scope="module")
def series(server: Victim) -> set[tuple[str, str, str]]:
    """Every sample's name, with each of its labels and values; or with none."""
    url = f"http://127.0.0.1:{admin_port(server)}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        text = answer.read().decode()
    found = set()
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.add((name, "", ""))
        found |= {(name, label, value) for label, value in re.findall(r'(\w+)="([^"]*)"', labels)}
    return found


def names(expression: str) -> set[str]:
    """The series that an expression asks for: words of their own, before a selector or a range."""
    bare = re.sub(r"\b(by|without|ignoring|on) \([^)]*\)|\{[^}]*\}", "", expression)
    return set(re.findall(r"\b(?:(?:tcpecho|process)_\w+|up\b)(?!:)", re.sub(r"\w+:\S+", "", bare)))


def test_every_series_that_a_panel_asks_for_exists(series: set[tuple[str, str, str]]) -> None:
    there = {name for name, _, _ in series} | OF_PROMETHEUS
    asked = {name for expression in EXPRESSIONS for name in names(expression)}
    assert len(asked) > 15
    assert asked <= there


def test_every_series_that_a_rule_asks_for_exists(series: set[tuple[str, str, str]]) -> None:
    there = {name for name, _, _ in series} | OF_PROMETHEUS
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        assert names(rule["expr"]) <= there
        assert set(re.findall(r"\binstance:\w+:\w+", rule["expr"])) <= recorded


def test_every_label_and_value_exists(series: set[tuple[str, str, str]]) -> None:
    for expression in [*EXPRESSIONS, *(rule["expr"] for rule in rules())]:
        for name, selector in re.findall(r"(\w+)\{([^}]*)\}", expression):
            for label, value in re.findall(r'(\w+)="([^"]*)"', selector):
                if label not in FROM_PROMETHEUS:
                    assert (name, label, value) in series, expression
        for labels in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression):
            for label in re.split(r",\s*", labels):
                known = {known for name, known, _ in series if name in names(expression)}
                assert label in known | FROM_PROMETHEUS, expression


def test_every_panel_says_what_it_shows_and_has_a_place_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"].endswith(".")
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_promtool_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    lines = ["groups:", "- name: all", "  rules:"]
    for number, expression in enumerate(EXPRESSIONS):
        plain = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
        lines.append(f"  - {{record: 'r:{number}', expr: {json.dumps(plain)}}}")
    file = tmp_path / "rules.yml"
    file.write_text("\n".join(lines))
    assert f"{len(EXPRESSIONS)} rules found" in check("promtool", "check", "rules", file)


def test_promtool_accepts_the_rules() -> None:
    check("promtool", "check", "rules", "--lint-fatal", RULES)


def test_alerts_come_when_they_should_and_only_then() -> None:
    check("promtool", "test", "rules", RULES.with_name("tcpecho.rules.test.yml"))


def test_each_alert_is_tried() -> None:
    tried = RULES.with_name("tcpecho.rules.test.yml").read_text()
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    for alert in alerts:
        assert re.search(rf"alertname: {alert}\n\s+exp_alerts:", tried), alert


def test_the_page_names_each_alert() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    assert re.findall(r"^\| `(Tcpecho\w+)` \|", page, re.MULTILINE) == alerts


def test_an_alert_that_never_came_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / RULES.name).write_text(RULES.read_text().replace("== 0\n", "== 7\n"))
    file = tmp_path / "tcpecho.rules.test.yml"
    file.write_text(RULES.with_name(file.name).read_text())
    done = subprocess.run(
        [tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "TcpechoDown" in done.stderr


def test_a_real_prometheus_reads_the_servers_and_the_rules(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-for-this-test")
    (tmp_path / RULES.name).write_text(RULES.read_text())
    options = ("--admin", "http://127.0.0.1:0", "--admin-token-file", str(token))
    with backend(*options) as first, backend(*options) as second:
        targets = [f"127.0.0.1:{admin_port(server)}" for server in (first, second)]
        edits = {
            "/run/secrets/admin-token": str(token),
            '"echo-a:9500", "echo-b:9500"': ", ".join(f'"{target}"' for target in targets),
            "haproxy:8404": "127.0.0.1:9090",  # not here: itself instead
        }
        with running(
            tmp_path,
            "prometheus/prometheus.yml",
            *("prometheus", "--config.file=FILE", f"--storage.tsdb.path={tmp_path / 'data'}"),
            "--web.listen-address=127.0.0.1:LISTEN",
            ports={},
            free=(9090,),
            edits=edits,
        ) as own:
            up: set[str] = set()
            while up != {*targets}:
                found = asked(own[9090], 'query?query=up{job="tcpecho"}==1').get("result", [])
                up = {result["metric"]["instance"] for result in found}
            health = {"unknown"}
            while "unknown" in health or not health:
                groups = asked(own[9090], "rules").get("groups", [])
                health = {rule["health"] for group in groups for rule in group["rules"]}
            assert health == {"ok"}


def asked(port: int, what: str) -> dict[str, Any]:
    """Prometheus's answer (its HTTP API); empty as long as it is starting."""
    url = f"http://127.0.0.1:{port}/api/v1/{quote(what, safe='/?=')}"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
            return data
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return {}
