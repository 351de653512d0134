"""What comes from clients does no harm to the page, whatever it is and however much."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tcpecho_trio.display import shown
from tests.admin.page.conftest import Open
from tests.admin.page.visits import PAGE, Served, Visit
from tests.support.processes import PATIENCE

HTML = [
    "<script>window.harmed = 1</script>",
    "<img src=x onerror='window.harmed = 1'>",
    "<svg onload=alert(1)><style>*{display:none}</style>",
    "</bdi></li></ol><h1>ajeno</h1>",
    "\"'><iframe src=javascript:alert(1)></iframe>",
    "{count} {client} &lt;b&gt; ${1} __proto__",
]
CONTROLS = {
    "\x1b[2J\x1b]52;c;aGFjaw==\x07": r"\x1b[2J\x1b]52;c;aGFjaw==\x07",
    "\u202egpj.exe": r"\u202egpj.exe",
    "a\u200bb\ufeffc\u2028d": r"a\u200bb\ufeffc\u2028d",
    "e\u0301\u0301\u0301\u0301\u0301\u0301": "e\u0301\u0301\u0301\u0301\\u0301\\u0301",
    "\u0085\u009b31m": r"\x85\x9b31m",
}
ROWS = {"#traffic-rows > div": 250, "#conversation-rows > div": 300, "#clients-rows tr": 200}
"""At most so many of each."""

MIB = 2**20


def unharmed(tab: Visit) -> None:
    """Nothing ran, nothing was made of it but text, and the page still answers."""
    assert tab.evaluate("window.harmed") is None
    foreign = "script:not([src='js/main.js']), img, iframe, style, object, embed, main h1"
    assert tab.page.locator(foreign).count() == 0
    for rows, most in ROWS.items():
        assert tab.page.locator(rows).count() <= most
    tab.page.get_by_role("button", name="EN", exact=True).click()
    tab.page.get_by_role("heading", name="Conversation").wait_for()
    tab.page.get_by_role("button", name="ES", exact=True).click()
    tab.page.get_by_role("heading", name="Conversación").wait_for()


def test_html_stays_text(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    with served.client() as client:
        for text in HTML:
            client.ask(text)
            tab.passes(text).passes(text.upper())
            tab.say(text).replied(text.upper())
    assert tab.replies() == [text.upper() for text in HTML]
    unharmed(tab)


def test_controls_and_what_cannot_be_seen_are_shown_as_escapes(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    for text, safe in CONTROLS.items():
        with served.client() as client:
            client.say(text.encode() + b"\n")
            tab.passes(safe)
        tab.say(text)
        tab.page.locator("#conversation-rows .you bdi").get_by_text(safe, exact=True).wait_for()
    unharmed(tab)


def test_the_page_shows_text_as_the_console_does(served: Served, visit: Open) -> None:
    tab = visit(served.url)
    texts = [*HTML, *CONTROLS, "", "ñ" * 300, "🙂" * 300, "\x00" * 90, "a\u0300" * 150, "\ud800x"]
    script = "async (texts) => { const {shownText} = await import('/js/display.js');"
    told = tab.evaluate(f"{script} return texts.map((text) => shownText(text)); }}", texts)
    assert [one.rstrip("…") for one in told] == [shown(text).rstrip("…") for text in texts]


def test_bytes_that_are_no_text_do_no_harm(served: Served, visit: Open) -> None:
    tab = visit(served.url)
    with served.client() as client:
        client.say(b"\xff\xfe\xc0\x8a\xed\xa0\x80\xf4\x90\x80\x80 fin\n")
        tab.passes(r"\xff\xfe\xc0\x8a\xed\xa0\x80\xf4\x90\x80\x80 fin")
    unharmed(tab)


def test_a_mebibyte_is_cut_and_counted(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    with served.client() as client:
        client.say(b"x" * MIB + b"\n")
        assert len(client.hear()) == MIB
        client.ask("fin")
        tab.passes("FIN")
    assert max(map(len, tab.traffic_texts())) < 300
    tab.say("ñ" * MIB)
    tab.page.get_by_text(f"{MIB:,}".replace(",", ".") + " caracteres en total").nth(1).wait_for()
    tab.say("y sigue").replied("Y SIGUE")
    assert max(map(len, tab.page.locator("#conversation-rows > div").all_inner_texts())) < 3000
    unharmed(tab)


def test_what_is_too_long_is_not_sent(served: Served, visit: Open) -> None:
    tab = visit(served.url).connect()
    tab.evaluate("document.getElementById('message').value = 'a'.repeat(2 ** 21 + 1)")
    tab.page.locator("#message").press("Enter")
    tab.told("Demasiado largo").page.locator("#message").fill("")
    tab.say("hola").replied("HOLA")


def test_a_flood_of_messages_is_sampled_and_says_so(served: Served, visit: Open) -> None:
    tab = visit(served.url)
    before = tab.elements()
    note = tab.page.get_by_text("muestra: pasan más de los que se pueden leer")
    said = 0
    with served.client() as client:
        # The note goes some seconds after a flood: it is looked for while one lasts.
        hanging = time.monotonic() + PATIENCE
        while said < 100_000 or not note.is_visible():
            assert time.monotonic() < hanging
            client.say(b"".join(b"%d\n" % (said + line) for line in range(5000)))
            for _ in range(5000):
                client.hear()
            said += 5000
        tab.passes(re.compile(r"… y [\d.]+ mensajes más"))
        client.ask("el último")
    tab.page.locator("#facts dd", has_text=f"{said + 1:,}".replace(",", ".")).wait_for()
    assert tab.elements() - before < 250 * 8 + 200
    unharmed(tab)


def stream(events: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """What a server would answer that sends all these at once."""
    body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return {"body": body, "content_type": "text/event-stream"}


def test_a_flood_of_events_neither_freezes_the_page_nor_grows_it(
    served: Served, visit: Open
) -> None:
    """Even from a server that keeps no bound of its own."""
    told = {"connection": 1, "client": "10.0.0.1:5", "peer": "10.0.0.1:5", "listener": "x:1"}
    floods = [("received", {**told, "text": f"mensaje {n} " + "y" * 400}) for n in range(5000)]
    odd: list[tuple[str, Any]] = [
        ("sample", {"time": "no", "clients": None}),
        ("sample", {"time": "2026-01-01T00:00:00Z", "clients": 1e308, "messages_in": "x"}),
        ("sample", {"time": "2026-01-01T00:00:01Z", "messages_in": float("inf")}),
        ("closed", {**told, "reason": "not known", "seconds": -1}),
        ("received", {**told, "client": 7, "text": None}),
        ("received", {**told, "client": "<b>" * 1000, "text": ["x"]}),
        ("more_messages", {"count": "many"}),
        ("dropped", {}),
        ("received", {**told, "text": "el final"}),
    ]
    tab = visit(served.url)
    tab.page.route("**/events*", lambda route: route.fulfill(**stream([*floods, *odd])))
    tab.page.reload()
    tab.passes("el final")
    assert tab.evaluate("document.querySelectorAll('#traffic-rows > div').length") <= 250
    assert tab.elements() < 250 * 8 + 1000
    tab.page.unroute("**/events*")
    tab.wait_phase("running")
    unharmed(tab)


def test_thousands_of_clients_are_not_thousands_of_rows(served: Served, visit: Open) -> None:
    client: dict[str, Any] = {
        "peer": "10.0.0.1:1",
        "listener": "tcp",
        "since": "2026-01-01T00:00:00Z",
        **dict.fromkeys(("bytes_in", "bytes_out", "messages_in", "messages_out"), 7),
        "tls": None,
        "proxy": None,
        "faults": [],
    }
    many = [{**client, "number": n, "client": f"10.0.0.1:{n}"} for n in range(1, 5001)]
    answer = json.dumps({"clients": many})
    tab = visit(served.url, ready=False)
    tab.page.route(
        "**/api/clients?*",
        lambda route: route.fulfill(body=answer, content_type="application/json"),
    )
    tab.page.get_by_text("Y 4.800 clientes más; usa el filtro").wait_for()
    assert tab.page.locator("#clients-rows tr").count() == 200
    tab.page.get_by_label("Filtrar por cliente").fill("10.0.0.1:4999")
    tab.row("10.0.0.1:4999").wait_for()
    assert tab.page.locator("#clients-rows tr").count() == 1


def test_no_text_becomes_markup_or_code() -> None:
    """The page's own sources: not one way from a text to HTML, to a script, or to a style."""
    ways = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
        r"|DOMParser|createContextualFragment|setHTML|srcdoc|javascript:|setTimeout\(['\"`]"
    )
    sources = [*PAGE.rglob("*.js"), *PAGE.rglob("*.html"), *PAGE.rglob("*.css")]
    assert len(sources) > 10
    for source in sources:
        text = source.read_text()
        assert not ways.search(text), source
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), source
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?! type=\"module\" src=)", page)


def test_a_page_whose_policy_is_broken_would_be_noticed(served: Served, visit: Open) -> None:
    """Whatever is inline does not run; and these tests would tell."""
    tab = visit(served.url)
    tab.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.harmed = 1';
        document.body.append(script);
    }""")
    assert tab.evaluate("window.harmed") is None
    assert "Content Security Policy" in tab.errors.pop()
