"""What people do with the page, from the first click to what they wanted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.admin.page.conftest import Open
from tests.admin.page.visits import Served
from tests.cluster.redis_server import running_redis
from tests.support.processes import PATIENCE, OldClient, serving


def test_two_tabs_and_an_nc_talk(served: Served, visit: Open, which_nc: str) -> None:
    ana, luis = visit(served.url).connect(), visit(served.url).connect()
    ana.say("hola servidor").replied("HOLA SERVIDOR")
    luis.say("¿qué tal?").replied("¿QUÉ TAL?")
    nc = subprocess.Popen(
        [which_nc, "-N", "127.0.0.1", str(served.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert nc.stdin is not None
    assert nc.stdout is not None
    nc.stdin.write(b"hola desde nc\n")
    nc.stdin.flush()
    assert nc.stdout.readline() == b"HOLA DESDE NC\n"
    for tab in (ana, luis):
        for text in ("¿QUÉ TAL?", "hola desde nc", "HOLA DESDE NC"):
            tab.passes(text)
        tab.page.get_by_text("3 de 10.000").wait_for()
        tab.page.locator("#clients-rows th", has_text="web:127.0.0.1:").nth(1).wait_for()
    out, _ = nc.communicate(timeout=PATIENCE)
    assert out == b""
    ana.passes(re.compile("ha terminado: el cliente cerró · un mensaje"))


def test_each_tab_knows_which_client_it_is(served: Served, visit: Open) -> None:
    ana, luis = visit(served.url).connect(), visit(served.url).connect()
    for tab, other in ((ana, luis), (luis, ana)):
        tab.told(re.compile(r"^Conectado; eres web:127\.0\.0\.1:\d+"))
        own = tab.page.locator("#clients-rows tr", has=tab.page.locator(".mark-you"))
        own.wait_for()
        name = own.locator("th bdi").inner_text()
        assert name in tab.page.locator("#conversation-rows .note").first.inner_text()
        other.row(name).wait_for()
        assert other.row(name).locator(".mark-you").count() == 0


def test_each_tab_hears_only_its_own_replies(served: Served, visit: Open) -> None:
    ana, luis = visit(served.url).connect(), visit(served.url).connect()
    ana.say("soy ana").replied("SOY ANA")
    luis.say("soy luis").replied("SOY LUIS")
    assert ana.replies() == ["SOY ANA"]
    assert luis.replies() == ["SOY LUIS"]


def test_the_words_button_says_goodbye_and_one_can_come_back(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    tab.say("hola").replied("HOLA")
    tab.page.get_by_role("button", name="DESCONEXION").click()
    tab.replied("Conexión cerrada").told("Conversación terminada: te has despedido.")
    tab.page.get_by_role("button", name="Conectar otra vez").click()
    tab.told(re.compile("^Conectado")).say("otra vez").replied("OTRA VEZ")


def test_what_the_dialect_has_is_there_greeting_and_words(visit: Open) -> None:
    with Served("--dialect", "admin") as served:
        tab = visit(served.url).connect()
        tab.replied("Conexión exitosa. Usa 'LISTAR' para ver clientes.")
        tab.page.get_by_role("button", name="LISTAR").click()
        tab.replied("Clientes conectados:")
        assert len(tab.replies()) == 3  # the greeting, and two lines
        # A word that ends the server for everybody is asked about first.
        tab.page.get_by_role("button", name="DESCONEXION").click()
        tab.page.get_by_role("button", name="Cancelar").click()
        tab.say("sigo aquí").replied("SIGO AQUÍ")
        tab.page.get_by_role("button", name="APAGAR").click()
        tab.told("te has despedido")


def test_several_pasted_lines_are_several_messages(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    tab.say("uno\n\ndos").replied("DOS")
    assert [reply.strip() for reply in tab.replies()] == ["UNO", "", "DOS"]
    tab.page.locator("#message").press("ArrowUp")
    assert tab.page.locator("#message").input_value() == "uno\n\ndos"


def test_one_client_is_disconnected_and_no_other(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    with served.client() as one, served.client() as other:
        assert (one.ask("uno"), other.ask("dos")) == ("UNO", "DOS")
        tab.row(other.address).wait_for()
        tab.page.get_by_role("button", name=f"Desconectar a {one.address}").click()
        assert one.hear() == ""
        tab.row(one.address).wait_for(state="detached")
        tab.announced(f"{one.address} recibirá lo que le falta")
        tab.passes("ha terminado: alguien lo desconectó desde la página")
        assert other.ask("sigo") == "SIGO"
        tab.say("yo también").replied("YO TAMBIÉN")


def test_one_can_be_disconnected_oneself(served: Served, visit: Open) -> None:
    tab, operator = visit(served.url).connect(), visit(served.url)
    tab.say("hola").replied("HOLA")
    operator.page.get_by_role("button", name="Desconectar a web:").click()
    tab.told("Conversación terminada: alguien te ha desconectado")


def test_faults_are_set_and_cleared_while_it_runs(served: Served, visit: Open) -> None:
    tab, other = visit(served.url), visit(served.url)
    with served.client() as before:
        assert before.ask("hola") == "HOLA"
        tab.page.get_by_role("button", name="Fallos").click()
        dialog = tab.page.get_by_role("dialog", name="Fallos a propósito")
        dialog.get_by_role("combobox", name="Fallo").select_option("close")
        dialog.get_by_label("Tras tantos bytes").fill("3")
        dialog.get_by_role("button", name="Añadir").click()
        dialog.get_by_text("close:3").wait_for()
        other.passes("Fallos para los clientes nuevos: close:3")
        other.page.get_by_role("button", name="Fallos: 1").wait_for()
        with served.client() as after:
            assert after.ask("hola") == "HOL"
        assert before.ask("sigo") == "SIGO"
    # What the server does not want, it says; and nothing has changed.
    dialog.get_by_role("combobox", name="Fallo").select_option("delay")
    dialog.get_by_label("Milisegundos").fill("1" + "0" * 400)
    tab.evaluate("document.getElementById('faults-form').noValidate = true")
    dialog.get_by_role("button", name="Añadir").click()
    dialog.get_by_role("alert").get_by_text("No se pudo").wait_for()
    dialog.get_by_role("button", name="Quitar todos").click()
    dialog.get_by_text("Ahora no hay ninguno.").wait_for()
    tab.announced("Ya no hay fallos")
    with served.client() as again:
        assert again.ask("hola") == "HOLA"


def test_the_filter_shows_one_client_and_all_again(served: Served, visit: Open) -> None:
    tab = visit(served.url)
    with served.client() as one, served.client() as other:
        assert (one.ask("primero"), other.ask("segundo")) == ("PRIMERO", "SEGUNDO")
        tab.row(one.address).get_by_role("button", name=one.address, exact=True).click()
        tab.row(other.address).wait_for(state="detached")
        tab.page.get_by_text(f"solo «{one.address}»").wait_for()
        other.ask("no se ve")
        one.ask("se ve")
        tab.passes("SE VE")
        assert tab.passed() == ["se ve", "SE VE"]
        tab.page.get_by_label("Filtrar por cliente").fill("")
        tab.row(other.address).wait_for()
        other.ask("ahora sí")
        tab.passes("AHORA SÍ")
        tab.page.get_by_label("Filtrar por cliente").fill("nadie")
        tab.page.get_by_text("Ningún cliente coincide").wait_for()


def test_a_pause_holds_still_what_is_read(served: Served, visit: Open) -> None:
    tab = visit(served.url)
    with served.client() as client:
        client.ask("antes")
        tab.passes("ANTES")
        tab.page.get_by_role("button", name="Pausa").click()
        client.ask("durante")
        tab.page.get_by_text("En pausa: 2 nuevos").wait_for()
        assert tab.passed() == ["antes", "ANTES"]
        tab.page.get_by_role("button", name="Seguir").click()
        tab.passes("DURANTE")
        assert tab.passed() == ["antes", "ANTES", "durante", "DURANTE"]


def test_a_full_server_says_so(visit: Open) -> None:
    with Served("--max-connections", "1") as served:
        tab = visit(served.url)
        with served.client() as client:
            assert client.ask("hola") == "HOLA"
            tab.page.get_by_text("El servidor está lleno").wait_for()
            tab.page.get_by_role("button", name="Conectar", exact=True).click()
            tab.replied("ERROR: el servidor está lleno, inténtalo más tarde")
            tab.told("No se pudo conectar: el servidor está lleno.")
        tab.page.get_by_text("El servidor está lleno:").wait_for(state="hidden")
        tab.connect().say("ya").replied("YA")


def test_the_drain_is_seen_on_the_page_to_its_end(visit: Open) -> None:
    with Served("--write-timeout", "0") as served:
        tab, other = visit(served.url).connect(), visit(served.url)
        tab.say("hola").replied("HOLA")
        with served.client() as slow:
            # It leaves its replies unread, and holds up the drain as long as it may.
            slow.say_without_reading()
            tab.page.get_by_role("button", name="Cerrar servidor…").click()
            tab.page.get_by_text("Los 2 conectados recibirán lo que les falta").wait_for()
            tab.page.keyboard.press("Escape")
            tab.say("nada ha pasado").replied("NADA HA PASADO")
            tab.page.get_by_role("button", name="Cerrar servidor…").click()
            tab.page.get_by_role("button", name="Cerrar el servidor").click()
            tab.told("Conversación terminada: el servidor se está cerrando.")
            for one in (tab, other):
                one.wait_phase("draining")
                one.page.get_by_text("El servidor se está cerrando: ya no acepta").wait_for()
                one.passes("El servidor se cierra: pedido en esta página")
            assert tab.page.get_by_role("button", name="Cerrar servidor…").is_disabled()
            served.process.process.send_signal(15)  # the second request waits for nobody
        for one in (tab, other):
            one.wait_phase("lost")
            one.page.get_by_text("El servidor ha terminado. La página espera").wait_for()
        assert served.process.finish() == 0


def test_after_a_restart_the_page_goes_on_by_itself(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    tab.say("hola").replied("HOLA")
    served.kill()
    tab.wait_phase("lost").told("Conversación terminada: se perdió el contacto")
    tab.page.get_by_text("La página ha perdido el contacto").wait_for()
    tab.page.locator("#connect").click()
    tab.told("No se pudo conectar: no se llega al servidor.")
    with served.again() as again:
        tab.wait_phase("running").announced("El servidor ha vuelto a arrancar.")
        tab.passes("El servidor ha vuelto a arrancar")
        tab.connect().say("otra vez").replied("OTRA VEZ")
        with again.client() as client:
            client.ask("y yo")
            tab.passes("Y YO")


def test_in_a_cluster_of_several_processes_each_client_has_its_server_and_its_process(
    visit: Open, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis(tmp_path))
        several = ("--processes", "2", "--cluster", redis.url, "--cluster-name")
        served = stack.enter_context(Served(*several, "norte"))
        other = stack.enter_context(serving(*several, "sur"))
        here = [stack.enter_context(OldClient(served.port)) for _ in range(4)]
        there = stack.enter_context(OldClient(other.port))
        for client in (*here, there):
            assert client.ask("hola\n") == "HOLA\n"
        tab = visit(served.url)
        rows = tab.page.locator("#clients-rows tr")
        rows.nth(4).wait_for()
        assert rows.filter(has_text="norte").count() == 4
        assert rows.locator(".act button").count() == 4
        for worker in ("1", "2"):
            assert rows.filter(has_text="norte").filter(has_text=f"proceso {worker}").count() >= 1
        elsewhere = rows.filter(has_text="sur")
        text = elsewhere.inner_text()
        assert str(there.socket.getsockname()[1]) in text
        assert "proceso" not in text
        assert elsewhere.locator(".act button").count() == 0  # only its own server lets it go
        there.socket.close()
        elsewhere.wait_for(state="detached")


def test_several_processes_are_seen_and_one_that_dies(visit: Open) -> None:
    with Served("--processes", "2") as served:
        tab = visit(served.url).connect()
        workers = tab.page.locator("#workers-list li")
        workers.nth(1).wait_for()
        tab.say("hola").replied("HOLA")
        own = tab.page.locator("#clients-rows tr", has=tab.page.locator(".mark-you"))
        worker = re.search(r"proceso (\d+)", own.inner_text())
        assert worker is not None
        mine = workers.filter(has_text=f"Proceso {worker[1]}")
        mine.filter(has_text="un cliente").wait_for()
        pid = re.search(r"PID (\d+)", str(mine.get_attribute("title")))
        assert pid is not None
        os.kill(int(pid[1]), signal.SIGKILL)
        tab.told("se perdió el contacto")
        tab.passes(f"El proceso {worker[1]} ha muerto (SIGKILL); conexiones perdidas: 1")
        tab.passes(re.compile(r"El proceso \d+ ya acepta clientes"))
        tab.page.locator(f"#workers-list li:not([title^='PID {pid[1]},'])").nth(1).wait_for()
        tab.connect().say("otra vez").replied("OTRA VEZ")


def test_clients_of_other_servers_are_seen_and_left_alone(served: Served, visit: Open) -> None:
    tab = visit(served.url, ready=False)
    names = ("number", "peer", "listener", "since", "bytes_in", "bytes_out", "messages_in")
    elsewhere: dict[str, Any] = {
        **dict.fromkeys(names),
        "client": "10.0.0.2:7",
        "server": "sur",
        "faults": [],
    }
    answer = json.dumps({"clients": [elsewhere], "total": 1})
    tab.page.route(
        "**/api/clients?*",
        lambda route: route.fulfill(body=answer, content_type="application/json"),
    )
    row = tab.row("10.0.0.2:7")
    row.get_by_text("en sur").wait_for()
    assert row.get_by_role("button", name="Desconectar").count() == 0
    assert "NaN" not in row.inner_text()
