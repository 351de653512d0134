"""How the page looks and sounds: languages, themes, widths, keyboard, contrast, plots."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.events import DrainReason
from tcpecho_trio.server.faults import Kind
from tests.admin.page.conftest import Open
from tests.admin.page.visits import PAGE, Served
from tests.support.processes import PATIENCE

LANGUAGES = {
    name: json.loads((PAGE / "i18n" / f"{name}.json").read_text()) for name in ("es", "en")
}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
EN = {"locale": "en-GB"}


def forms(text: Any) -> list[str]:
    return list(text.values()) if isinstance(text, dict) else [text]


def test_both_languages_say_the_same_things() -> None:
    spanish, english = LANGUAGES["es"], LANGUAGES["en"]
    assert list(spanish) == list(english)
    for key, text in spanish.items():
        assert isinstance(text, dict) == isinstance(english[key], dict), key
        names = {frozenset(re.findall(r"{(\w+)}", f)) for f in forms(text) + forms(english[key])}
        widest = max(names, key=len)
        assert all(widest - some <= {"count"} for some in names), key  # "one client" says it, too
        assert all(form.strip() for form in forms(text) + forms(english[key])), key


def test_every_code_of_the_server_has_its_words() -> None:
    for texts in LANGUAGES.values():
        for code in (*CloseReason, *DrainReason):
            assert f"reason.{code.value}" in texts
        for kind in Kind:
            assert f"faults.{kind.value}" in texts


def test_every_text_that_the_page_asks_for_is_there() -> None:
    sources = "".join(path.read_text() for path in [*PAGE.rglob("*.js"), PAGE / "index.html"])
    asked = set(
        re.findall(
            r"""(?:data-t(?:-\w+)?=|\bt\(|key: |title: |name: )"([a-z]+[.][\w.-]+)\"""", sources
        )
    )
    asked |= set(re.findall(r'data-t(?:-\w+)?="([^"]+)"', sources))
    assert len(asked) > 60
    assert asked <= set(LANGUAGES["es"])


def test_the_page_speaks_the_browsers_language_and_another_when_asked(
    served: Served, visit: Open
) -> None:
    tab = visit(served.url)
    tab.page.get_by_role("heading", name="Conversación").wait_for()
    assert tab.evaluate("document.documentElement.lang") == "es"
    tab.page.get_by_text("0 de 10.000").wait_for()
    with served.client() as client:
        client.ask("hola")
        tab.passes("se ha conectado a localhost")
        tab.page.get_by_role("button", name="EN", exact=True).click()
        tab.passes("connected to localhost")  # what was told before, too
        tab.page.get_by_text("1 of 10,000").wait_for()
    assert tab.evaluate("document.documentElement.lang") == "en"
    left = re.compile(r"[áéíóúñ¿¡]|Mensajes|Clientes|servidor|Conect", re.IGNORECASE)
    assert not left.search(tab.page.locator("body").inner_text())
    tab.page.reload()
    tab.page.get_by_role("heading", name="Conversation").wait_for()
    english = visit(served.url, **EN)
    english.page.get_by_role("button", name="Drain server…").wait_for()
    french = visit(served.url, locale="fr-FR")
    french.page.get_by_role("heading", name="Conversación").wait_for()


def test_everything_can_be_done_with_the_keyboard_alone(served: Served, visit: Open) -> None:
    tab = visit(served.url, **EN)
    keys = tab.page.keyboard

    def focused() -> str:
        script = "(e => e.getAttribute('aria-label') || e.placeholder || e.innerText || e.id)"
        return str(tab.evaluate(f"{script}(document.activeElement)"))

    def tab_to(name: str, *, key: str = "Tab") -> None:
        for _ in range(40):
            if focused().startswith(name):
                return
            keys.press(key)
        raise AssertionError(f"no way to {name}")

    keys.press("Tab")
    assert focused() == "Go to the conversation"
    keys.press("Enter")
    tab_to("Connect")
    keys.press("Enter")
    tab.page.locator("#message:focus").wait_for()
    keys.type("hola servidor")
    keys.press("Enter")
    tab.replied("HOLA SERVIDOR")
    keys.press("ArrowUp")
    keys.press("Enter")
    tab.page.locator("#conversation-rows .server").nth(1).wait_for()
    tab_to("DESCONEXION", key="Shift+Tab")
    keys.press("Space")
    tab.told("you said goodbye")
    tab.page.locator("#connect:focus").wait_for()  # where to go on from
    with served.client() as client:
        client.ask("hola")
        tab.row(client.address).wait_for()
        tab_to("Filter", key="Shift+Tab")
        keys.type(client.address)
        tab.page.get_by_text(f"only “{client.address}”").wait_for()
        tab_to(f"Disconnect {client.address}")
        keys.press("Enter")
        assert client.hear() == ""
    tab.page.locator("#filter:focus").wait_for()  # its row is gone, the focus is not
    tab_to("Faults", key="Shift+Tab")
    keys.press("Enter")
    tab.page.locator("#fault-kind").focus()
    keys.press("End")
    tab_to("Add")
    keys.press("Enter")
    tab.page.get_by_text("reset:10", exact=True).wait_for()
    keys.press("Escape")
    tab_to("Faults: 1")
    tab_to("Drain server")
    keys.press("Enter")
    assert focused() == "Cancel"
    keys.press("Escape")
    assert focused() == "Drain server…"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    served: Served, visit: Open, width: int
) -> None:
    tab = visit(served.url, **{**PHONE, "viewport": {"width": width, "height": 700}}).connect()
    with served.client() as client:
        client.ask("x" * 1000)
        client.ask("<table width=5000>" + "\u4e00" * 500)
        tab.passes("X" * 100)
        tab.say("y" * 1000).replied("Y" * 100)
        tab.row(client.address).wait_for()
        assert tab.beyond_the_edge() == 0
        tab.page.get_by_role("button", name="Fallos").tap()
        assert tab.beyond_the_edge() == 0
        dialog = tab.page.get_by_role("dialog").bounding_box()
        assert dialog is not None
        assert dialog["x"] >= 0
        assert dialog["x"] + dialog["width"] <= width
        tab.page.get_by_role("button", name="Cerrar", exact=True).tap()
        # What a finger has to hit is large enough.
        for button in tab.page.locator("button:visible:not(.link)").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 44, button.inner_text()
    tab.page.get_by_role("link", name="Hablar").tap()
    box = tab.page.locator("#message").bounding_box()
    assert box is not None
    assert 0 < box["y"] < 700


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_anybody_from_reading_it(served: Served, visit: Open, theme: str) -> None:
    """Contrast AA, names, roles and landmarks: what axe-core finds."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here")
    tab = visit(served.url, color_scheme=theme, reduced_motion="reduce")
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground)[:3])) < 80) == (theme == "dark")

    def accessible() -> None:
        found = axe.Axe().run(tab.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]})
        assert found.violations_count == 0, found.generate_report()

    accessible()
    with Served("--fault", "delay:1ms", "--max-connections", "3") as other:
        tab = visit(other.url, color_scheme=theme, reduced_motion="reduce").connect()
        tab.say("hola").replied("HOLA")
        with other.client() as client:
            assert client.ask("<b>hola</b>") == "<B>HOLA</B>"
            tab.row(client.address).wait_for()
            accessible()
            tab.page.get_by_role("button", name="Fallos").click()
            accessible()
            tab.page.keyboard.press("Escape")
            tab.page.get_by_role("button", name="Cerrar servidor…").click()
            accessible()
            tab.page.keyboard.press("Escape")
        other.kill()
        tab.wait_phase("lost")
        tab.told("se perdió el contacto")
        accessible()


def test_the_theme_can_be_chosen_and_stays(served: Served, visit: Open) -> None:
    tab = visit(served.url, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(ground)
    tab.page.get_by_role("button", name="Tema: el del sistema").click()
    tab.page.get_by_role("button", name="Tema: claro").click()
    assert tab.evaluate(ground) != light
    tab.page.reload()
    tab.page.get_by_role("button", name="Tema: oscuro").wait_for()
    assert tab.evaluate(ground) != light


def test_the_plots_have_axes_with_units_and_tell_what_was_done(served: Served, visit: Open) -> None:
    tab = visit(served.url)
    plots = tab.page.get_by_role("region", name="Los últimos cinco minutos")
    told = (
        r"^Clientes conectados.*máximo 1\.",
        r"^Mensajes por segundo.*entran: ahora .*máximo [1-9][\d.]*\.",
        r"^Bytes por segundo.* [kM]B",
    )
    names = [tab.page.get_by_role("img", name=re.compile(name)) for name in told]
    with served.client() as client:
        # A plot draws what was done between two samples, and the page may not have its first yet.
        hanging = time.monotonic() + PATIENCE
        while not all(name.is_visible() for name in names):
            assert time.monotonic() < hanging
            client.say(b"0123456789\n" * 5000)
            for _ in range(5000):
                client.hear()
    texts = " ".join(plots.locator("svg text").all_text_contents()).replace("\u00a0", " ")
    for text in ("[kM]B", "ms", "−5 min", "ahora", "0"):
        assert re.search(text, texts)
    assert plots.locator("path.line").count() == 7


def test_an_axis_ends_at_a_round_number(served: Served, visit: Open) -> None:
    tab = visit(served.url)
    script = "async ([most, least]) => (await import('/js/plot.js')).scale(most, least)"
    for most, least, end, step in [
        (0, 2, 2, 1),
        (7, 2, 10, 5),
        (10, 2, 10, 5),
        (11, 2, 15, 5),
        (141_000, 2, 150_000, 50_000),
        (0.0003, 0.002, 0.002, 0.001),
        (float("inf"), 2, 2, 1),
        (float("nan"), 2, 2, 1),
    ]:
        found = tab.evaluate(script, [most, least])
        assert found == pytest.approx({"end": end, "step": step})
