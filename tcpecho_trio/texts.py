"""What people read on a console, in Spanish (the default) and in English.

The Spanish wording of the exercise's own lines is seed 000's, to the letter. A name in
``{braces}`` is filled in by whoever says the line; the journal's lines are named after its
events. What goes on the wire is not here but in :mod:`tcpecho_trio.dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


# eq and repr would have code generated for every field, at each start of the program.
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Texts:
    """Every line that is said on a console, in one language."""

    # The server's journal, one field per event.
    listening: str
    connected: str
    received: str
    replied: str
    leaving: str
    closed: str
    crashed: str
    shutdown_refused: str
    refused: str
    foreign: str
    unraisable: str
    proxy_refused: str
    tls_refused: str
    tls_reloaded: str
    tls_kept: str
    faulty: str
    accept_failed: str
    draining: str
    cutting: str
    stopped: str
    clients_served: tuple[str, str]
    clients_cut: tuple[str, str]
    more_messages: str
    more_connections: str
    untold_messages: tuple[str, str]
    untold_connections: tuple[str, str]
    thousands: str
    lines_lost: tuple[str, str]

    # Why a connection was closed.
    ended_left: str
    ended_eof: str
    ended_drained: str
    ended_idle: str
    ended_reset: str
    ended_slow: str
    ended_foreign: str
    ended_fault: str
    ended_cut: str
    ended_crashed: str
    ended_shutdown: str

    # Why a PROXY header is not believed.
    proxy_untrusted: str
    proxy_late: str
    proxy_not_proxy: str
    proxy_cut: str
    proxy_bad_protocol: str
    proxy_no_crlf: str
    proxy_bare_lf: str
    proxy_bad_line: str
    proxy_bad_address: str
    proxy_bad_port: str
    proxy_bad_version: str
    proxy_bad_command: str
    proxy_bad_family: str
    proxy_too_long: str
    proxy_too_short: str
    proxy_tlv_overrun: str
    proxy_bad_tlv: str
    proxy_bad_checksum: str

    # Why the server drains.
    drain_console: str
    drain_signal: str
    drain_remote: str

    # The server's console.
    console_hint: str
    console_nobody: str
    console_listing: str
    console_help: str
    console_unknown: str
    console_unreadable: str

    # The client.
    client_connected: str
    client_prompt: str
    client_reply: str
    client_hint: str
    client_hint_words: str
    client_leaving: str
    client_server_gone: str
    client_input_lost: str
    client_replies_lost: str
    client_interrupted: str
    client_turn: str
    client_progress: str
    client_skipped: str

    # The demo.
    demo_server: str
    demo_client: str
    demo_first: str
    demo_second: str
    demo_end: str

    # Errors, one line each: what happened, and what to do.
    error: str
    port_taken: str
    port_forbidden: str
    cannot_listen: str
    cannot_start: str
    path_taken: str
    cannot_listen_at_path: str
    cannot_inherit: str
    cannot_read: str
    unknown_host: str
    connection_refused: str
    cannot_connect: str
    cannot_connect_at_path: str
    tls_untrusted: str
    tls_failed: str
    tls_internal_error: str
    lab_needs_extra: str
    lab_bad_name: str
    lab_file_exists: str
    lab_cannot_write: str
    connection_broke: str
    local_failure: str
    connect_too_slow: str
    reply_too_slow: str
    client_busy: str
    client_closed: str
    client_cut_short: str
    message_with_line_feed: str
    message_blank: str
    message_without_pieces: str

    # The command line.
    cli_about: str
    cli_about_serve: str
    cli_about_client: str
    cli_about_demo: str
    cli_host: str
    cli_host_client: str
    cli_port: str
    cli_port_client: str
    cli_dialect: str
    cli_dialect_client: str
    cli_lang: str
    cli_max_connections: str
    cli_idle_timeout: str
    cli_write_timeout: str
    cli_drain_timeout: str
    cli_remote_shutdown: str
    cli_listen: str
    cli_unix: str
    cli_unix_mode: str
    cli_tls_cert: str
    cli_tls_key: str
    cli_tls_client_ca: str
    cli_unix_client: str
    cli_tls: str
    cli_tls_ca: str
    cli_tls_cert_client: str
    cli_sni: str
    cli_insecure: str
    cli_send_proxy: str
    cli_about_lab_certs: str
    cli_lab_names: str
    cli_tls_both: str
    cli_tls_needed: str
    cli_tls_ca_alone: str
    cli_proxy_protocol: str
    cli_trust_proxy: str
    cli_fault: str
    cli_fault_seed: str
    cli_banner: str
    cli_name: str
    cli_log_format: str
    cli_quiet: str
    cli_no_console: str
    cli_portable: str
    cli_message: str
    cli_framing: str
    cli_timeout: str
    cli_json: str
    cli_connect_retry: str
    cli_version: str
    cli_help: str
    cli_usage: str
    cli_options: str
    cli_options_metavar: str
    cli_commands_metavar: str
    cli_default: str
    cli_commands: str
    cli_hint: str
    cli_no_such_option: str
    cli_similar: str
    cli_no_such_command: str
    cli_too_much: str
    cli_takes_no_value: str
    cli_needs_value: str
    cli_missing: str
    cli_bad_value: str
    cli_bad_flag: str
    cli_banner_alone: str
    cli_trust_alone: str

    # What an option takes: the end of cli_bad_value.
    expects_whole: str
    expects_within: str
    expects_at_least: str
    expects_seconds: str
    expects_time: str
    expects_word: str
    expects_file: str
    expects_folder: str
    expects_host: str
    expects_endpoint: str
    expects_socket: str
    expects_mode: str
    expects_network: str
    expects_fault: str
    expects_message: str

    def number(self, count: int) -> str:
        """A number as one writes it in this language."""
        return f"{count:,}".replace(",", self.thousands)

    def counted(self, name: str, count: int) -> str:
        """So many of something that has a word for one and another for any other number."""
        one, many = getattr(self, name)
        line: str = one if count == 1 else many
        return line.format(count=self.number(count))


SPANISH = Texts(
    listening="Servidor TCP activo en {address} y esperando conexiones...",
    connected="[{peer}] Cliente conectado",
    received="[{peer}] Mensaje recibido: {text}",
    replied="[{peer}] Respuesta enviada: {text}",
    leaving="[{peer}] Cliente solicitó desconexión. Cerrando conexión...",
    closed="[{peer}] Conexión terminada: {reason}",
    crashed="[{peer}] Error interno del servidor (por favor, repórtalo):\n{traceback}",
    shutdown_refused="[{peer}] Apagado remoto rechazado ({count})",
    refused="[{peer}] Conexión rechazada: el servidor está lleno ({count})",
    foreign="[{peer}] Conexión cortada: habla {protocol}, no este protocolo ({count})",
    unraisable="Error interno que nadie podía atrapar ({count}): {error}",
    proxy_refused="[{peer}] Conexión cerrada: {fault} {seen} ({count})",
    tls_refused="[{peer}] Conexión cerrada: la negociación TLS falló: {reason} ({count})",
    tls_reloaded="Certificado TLS leído de nuevo.",
    tls_kept="El certificado TLS no se pudo leer de nuevo; sigue el anterior: {error}",
    faulty="[{peer}] Esta conexión sufrirá: {faults}",
    accept_failed="No se pueden aceptar conexiones por ahora (intentos: {count}): {error}",
    draining="Cerrando el servidor ({reason}): clientes conectados: {clients}...",
    cutting="Cerrando el servidor sin esperar a nadie más...",
    stopped="Servidor detenido: {served}, {cut}.",
    clients_served=("{count} cliente atendido", "{count} clientes atendidos"),
    clients_cut=("{count} cortado", "{count} cortados"),
    more_messages="… y {count}",
    more_connections="… y {count}",
    untold_messages=("{count} mensaje más", "{count} mensajes más"),
    untold_connections=("{count} conexión más", "{count} conexiones más"),
    thousands=" ",
    lines_lost=(
        "… {count} línea perdida: esta salida no avanzaba",
        "… {count} líneas perdidas: esta salida no avanzaba",
    ),
    ended_left="el cliente se despidió",
    ended_eof="el cliente cerró",
    ended_drained="el servidor se cierra",
    ended_idle="demasiado tiempo sin decir nada",
    ended_reset="se perdió la conexión con el cliente",
    ended_slow="no leía sus respuestas",
    ended_foreign="hablaba otro protocolo",
    ended_cut="cortada",
    ended_crashed="error interno",
    ended_shutdown="el cliente apagó el servidor",
    ended_fault="fallo pedido con --fault",
    proxy_untrusted="su dirección no puede mandar cabeceras PROXY (--trust-proxy).",
    proxy_late="la cabecera PROXY no llegó a tiempo.",
    proxy_not_proxy="no empieza con una cabecera PROXY:",
    proxy_cut="la cabecera PROXY está cortada:",
    proxy_bad_protocol="la cabecera PROXY no dice TCP4, TCP6 ni UNKNOWN:",
    proxy_no_crlf="la cabecera PROXY no termina en 107 bytes:",
    proxy_bare_lf="la cabecera PROXY termina en LF y no en CRLF:",
    proxy_bad_line="la cabecera PROXY no tiene dos direcciones y dos puertos:",
    proxy_bad_address="la cabecera PROXY tiene una dirección que no es de su familia:",
    proxy_bad_port="la cabecera PROXY tiene un puerto mayor que 65535:",
    proxy_bad_version="la versión de la cabecera PROXY no es 2:",
    proxy_bad_command="la orden de la cabecera PROXY no es LOCAL ni PROXY:",
    proxy_bad_family="la familia o el transporte de la cabecera PROXY no existe:",
    proxy_too_long="la cabecera PROXY anuncia más de 4096 bytes:",
    proxy_too_short="a la cabecera PROXY le faltan direcciones:",
    proxy_tlv_overrun="un TLV de la cabecera PROXY se sale de ella:",
    proxy_bad_tlv="un TLV de la cabecera PROXY tiene un valor imposible:",
    proxy_bad_checksum="la suma de control de la cabecera PROXY no cuadra:",
    drain_console="pedido en la consola",
    drain_signal="señal {name}",
    drain_remote="pedido por {peer}",
    console_hint="Escribe «cerrarservidor» para terminar, «ayuda» para ver más.",
    console_nobody="No hay clientes conectados.",
    console_listing="Clientes conectados: {count}",
    console_help=(
        "cerrarservidor   cierra todas las sesiones y termina\n"
        "listar           muestra quién está conectado\n"
        "ayuda            muestra estas palabras"
    ),
    console_unknown="No conozco «{word}». Escribe «ayuda» para ver las palabras.",
    console_unreadable="La consola no se puede leer; el servidor sigue. Termínalo con Ctrl-C.",
    client_connected="Cliente conectado al servidor en {address}",
    client_prompt="Ingresa un mensaje: ",
    client_reply="Respuesta del servidor: {text}",
    client_hint="↑ repite · Ctrl-D sale",
    client_hint_words="Palabras: {words} · Tab completa · ↑ repite · Ctrl-D sale",
    client_leaving="Solicitando desconexión del servidor...",
    client_server_gone="el servidor cerró la conexión. Mira su consola, o conéctate otra vez.",
    client_input_lost=(
        "el servidor cerró la conexión antes de recibir toda la entrada."
        " Mira su consola, o envíala otra vez."
    ),
    client_replies_lost=(
        "el servidor cerró la conexión sin responder a todo. Mira su consola, o envíalo otra vez."
    ),
    client_interrupted="Interrumpido.",
    client_turn="Esperando turno: el servidor atiende ahora a otro cliente (Ctrl-C para salir)...",
    client_progress="Enviando",
    client_skipped="Línea {number} sin enviar: {reason}",
    demo_server="servidor",
    demo_client="cliente",
    demo_first="1. MENSAJE ESTÁNDAR",
    demo_second="2. DESCONEXIÓN",
    demo_end="Las dos pruebas del ejercicio pasaron.",
    error="Error: {message}",
    port_taken=(
        "el puerto {port} de {host} ya está en uso. Cierra el otro programa"
        " o elige otro puerto: --port {other} (0 busca uno libre)."
    ),
    port_forbidden=(
        "no hay permiso para escuchar en {address}."
        " Elige un puerto a partir de 1024: --port {other}."
    ),
    cannot_listen="no se puede escuchar en {address}: {reason}. Revisa --host y --port.",
    cannot_start="no se puede empezar: {reason}. Libera descriptores (ulimit -n) o memoria.",
    path_taken="en {path} ya escucha otro, o no es un socket. Elige otra ruta: --unix.",
    cannot_listen_at_path="no se puede escuchar en {path}: {reason}. Revisa --unix.",
    cannot_read="no se puede usar {files}: {reason}. Revisa los archivos PEM.",
    cannot_inherit=(
        "un descriptor heredado no es un socket que escucha: {reason}."
        " Revisa la unidad .socket (LISTEN_FDS)."
    ),
    unknown_host="no se encuentra el servidor «{host}». Revisa --host.",
    connection_refused=(
        "nadie escucha en {address}."
        " ¿Está encendido el servidor? python -m tcpecho_trio serve --port {port}"
    ),
    cannot_connect="no se puede conectar a {address}: {reason}. Revisa --host y --port.",
    cannot_connect_at_path="no se puede conectar a {path}: {reason}. Revisa --unix.",
    tls_untrusted=(
        "no se puede confiar en el certificado de {address}: {reason}."
        " Indica su CA con --tls-ca, o su nombre con --sni."
    ),
    tls_failed="{address} no aceptó TLS: {reason}. ¿Habla TLS ese puerto? ¿Pide --tls-cert?",
    tls_internal_error="{address} no puede atender TLS ahora; quizá está lleno. Espera un poco.",
    lab_needs_extra="falta el extra tls-lab: pip install '.[tls-lab]' en la carpeta del proyecto.",
    lab_bad_name="no se puede certificar un nombre así: {names} ({reason}). Revisa --name.",
    lab_file_exists="{file} ya existe, y ninguna clave se sobrescribe. Elige otra carpeta.",
    lab_cannot_write="no se puede escribir en {folder}: {reason}. Elige otra carpeta.",
    connection_broke="la conexión con {address} se cortó: {reason}. Conéctate otra vez.",
    local_failure="no se puede leer la entrada o escribir la salida: {reason}.",
    connect_too_slow=(
        "{address} no contesta en {seconds:g} s."
        " Revisa --host y --port, o espera más: --timeout, --connect-retry."
    ),
    reply_too_slow=(
        "{address} no responde en {seconds:g} s. ¿Atiende a otro cliente? Espera más: --timeout."
    ),
    client_busy="dos tareas usan el cliente a la vez: usa ask(), que las atiende por turno.",
    client_closed="el cliente ya está cerrado: abre otro con open_client().",
    client_cut_short=(
        "un envío cancelado dejó medio mensaje en la conexión: abre otra con open_client()."
    ),
    message_with_line_feed="un mensaje es una sola línea: envía varias, de una en una.",
    message_blank=(
        "un mensaje en blanco no recibe respuesta de los servidores antiguos"
        " (--framing raw): escribe algo."
    ),
    message_without_pieces=(
        "un mensaje largo se corta cada {limit} bytes, y aquí quedaría un trozo en blanco"
        " o igual a una orden (--framing raw): acórtalo."
    ),
    cli_about=(
        "Servidor TCP que responde en MAYÚSCULAS y cierra con DESCONEXION, y su cliente.\n\n"
        "Cada opción también se lee del entorno: TCPECHO_SERVE_PORT, TCPECHO_CLIENT_HOST..."
    ),
    cli_about_serve=(
        "Enciende el servidor.\n\n"
        "Termina con «cerrarservidor» en su consola o con Ctrl-C;"
        " una segunda señal no espera a nadie."
    ),
    cli_about_client=(
        "Conversa con un servidor.\n\n"
        "En una terminal pide mensajes; en una tubería envía la entrada y escribe las respuestas;"
        " con -m hace una pregunta y termina.\n\n"
        "Código de salida: 0 bien, 1 no se pudo conectar, se cortó o tardó demasiado, 2 mal uso."
    ),
    cli_about_demo="Muestra las dos pruebas manuales del ejercicio.",
    cli_host="Dirección en la que escucha.",
    cli_host_client="Dirección del servidor.",
    cli_port="Puerto en el que escucha; 0 busca uno libre.",
    cli_port_client="Puerto del servidor.",
    cli_dialect="Qué palabras son órdenes.",
    cli_dialect_client="Qué palabras entiende el servidor.",
    cli_lang="Idioma de la consola.",
    cli_max_connections="Clientes a la vez; a los demás se les dice que está lleno.",
    cli_idle_timeout="Segundos sin decir nada tras los que se cierra una conexión; 0: nunca.",
    cli_write_timeout="Segundos que un cliente puede pasar sin leer; 0: sin límite.",
    cli_drain_timeout="Segundos que se espera a los clientes al cerrar el servidor.",
    cli_remote_shutdown="Desde dónde se obedece el apagado remoto.",
    cli_listen="Escuchar en tcp://host:puerto, tls://host:puerto o unix:///ruta; repetible.",
    cli_unix="Escuchar en un socket Unix; repetible.",
    cli_unix_mode="Permisos del archivo del socket Unix, en octal.",
    cli_tls_cert="Certificado del servidor y su cadena (PEM): quien se conecta habla TLS.",
    cli_tls_key="Clave privada del certificado (PEM).",
    cli_tls_client_ca="CA (PEM) cuyos certificados de cliente se exigen: TLS mutuo.",
    cli_unix_client="Conectar con un socket Unix en vez de --host y --port.",
    cli_tls="Hablar TLS con el servidor.",
    cli_tls_ca="CA (PEM) en la que confiar, en vez de las del sistema.",
    cli_tls_cert_client="Certificado propio (PEM), si el servidor lo pide.",
    cli_sni="Nombre del servidor que se pide y se comprueba, en vez de --host.",
    cli_insecure="No comprobar el certificado: puede responder cualquiera.",
    cli_send_proxy="Empezar con una cabecera PROXY, como haría un proxy.",
    cli_about_lab_certs="Crea en DIR una CA y certificados de usar y tirar para probar TLS.",
    cli_lab_names="Nombre o dirección del servidor; repetible.",
    cli_tls_both="--tls-cert y --tls-key van juntos.",
    cli_tls_needed="para escuchar en tls:// hacen falta --tls-cert y --tls-key.",
    cli_tls_ca_alone="con --tls-client-ca hacen falta --tls-cert y --tls-key.",
    cli_proxy_protocol="Si cada conexión empieza con una cabecera PROXY (v1 o v2).",
    cli_trust_proxy="Red desde la que se cree una cabecera PROXY; repetible.",
    cli_fault="Fallo a propósito: delay:200ms@0.1, drip:100, stall, close:10, reset:10; repetible.",
    cli_fault_seed="Semilla que decide qué conexiones sufren los fallos.",
    cli_banner="Con --dialect inspect: mandar el informe también al conectar.",
    cli_name="Cómo se llama este servidor en sus informes.",
    cli_log_format="Relato para una persona, o un objeto JSON por línea.",
    cli_quiet="No mostrar conexiones ni mensajes.",
    cli_no_console="No leer órdenes de la terminal.",
    cli_portable="Sin la vía rápida de Linux; sirve lo mismo, más despacio.",
    cli_message="Envía este mensaje, escribe la respuesta y termina. Se puede repetir.",
    cli_framing="Un mensaje por línea, o por envío (para servidores antiguos).",
    cli_timeout="Segundos para conectar, y otra vez para cada respuesta.",
    cli_json="Un objeto JSON por respuesta: sent, received, milliseconds.",
    cli_connect_retry="Segundos que se insiste mientras el servidor arranca.",
    cli_version="Muestra la versión y termina.",
    cli_help="Muestra esta ayuda y termina.",
    cli_usage="Uso: ",
    cli_options="Opciones",
    cli_options_metavar="[OPCIONES]",
    cli_commands_metavar="ORDEN [OPCIONES]...",
    cli_default="[por defecto: ",
    cli_commands="Órdenes",
    cli_hint="Prueba: {command} --help",
    cli_no_such_option="no existe la opción {name}.",
    cli_similar=" ¿Querías decir {names}?",
    cli_no_such_command="no existe la orden {name}; las que hay: {known}.",
    cli_too_much="sobra: {rest}",
    cli_takes_no_value="{name} no lleva ningún valor.",
    cli_needs_value="{name} necesita un valor.",
    cli_missing="falta {name}.",
    cli_bad_value="{name}: «{value}» no vale; se espera {expected}.",
    cli_bad_flag="{name}: se espera 1 o 0.",
    cli_banner_alone="--banner necesita --dialect inspect.",
    cli_trust_alone="--trust-proxy necesita --proxy-protocol required.",
    expects_whole="un número entero",
    expects_within="un número entero de {type.min} a {type.max}",
    expects_at_least="un número entero, {type.min} o más",
    expects_seconds="un número de segundos, 0 o más",
    expects_time="un número de segundos mayor que 0",
    expects_word="una de estas palabras: {type.listed}",
    expects_file="un archivo que se pueda leer",
    expects_folder="una carpeta, o un nombre libre para crearla",
    expects_host="un nombre o una dirección",
    expects_endpoint="tcp://host:puerto, tls://host:puerto o unix:///ruta (de 99 bytes como mucho)",
    expects_socket="una ruta de 1 a 99 bytes",
    expects_mode="un modo en octal, como 660",
    expects_network="una dirección, o una red sin bits tras el prefijo, como 10.0.0.0/8",
    expects_fault="CLASE[:CANTIDAD][@PARTE]: delay:200ms@0.1, drip:100, stall, close:10, reset:10",
    expects_message="una sola línea por cada -m",
)

ENGLISH = Texts(
    listening="TCP server listening on {address} and waiting for connections...",
    connected="[{peer}] Client connected",
    received="[{peer}] Message received: {text}",
    replied="[{peer}] Reply sent: {text}",
    leaving="[{peer}] Client asked to disconnect. Closing connection...",
    closed="[{peer}] Connection ended: {reason}",
    crashed="[{peer}] Internal server error (please report it):\n{traceback}",
    shutdown_refused="[{peer}] Remote shutdown refused ({count})",
    refused="[{peer}] Connection refused: the server is full ({count})",
    foreign="[{peer}] Connection cut: it speaks {protocol}, not this protocol ({count})",
    unraisable="Internal error that nobody could catch ({count}): {error}",
    proxy_refused="[{peer}] Connection closed: {fault} {seen} ({count})",
    tls_refused="[{peer}] Connection closed: the TLS handshake failed: {reason} ({count})",
    tls_reloaded="TLS certificate read again.",
    tls_kept="The TLS certificate could not be read again; the old one stays: {error}",
    faulty="[{peer}] This connection will suffer: {faults}",
    accept_failed="Cannot accept connections for now (attempts: {count}): {error}",
    draining="Closing the server ({reason}): clients connected: {clients}...",
    cutting="Closing the server without waiting for anybody else...",
    stopped="Server stopped: {served}, {cut}.",
    clients_served=("{count} client served", "{count} clients served"),
    clients_cut=("{count} cut", "{count} cut"),
    more_messages="… and {count}",
    more_connections="… and {count}",
    untold_messages=("{count} more message", "{count} more messages"),
    untold_connections=("{count} more connection", "{count} more connections"),
    thousands=",",
    lines_lost=(
        "… {count} line lost: this output was not moving",
        "… {count} lines lost: this output was not moving",
    ),
    ended_left="the client said goodbye",
    ended_eof="the client closed",
    ended_drained="the server is closing",
    ended_idle="it said nothing for too long",
    ended_reset="the client was lost",
    ended_slow="it did not read its replies",
    ended_foreign="it spoke another protocol",
    ended_cut="cut",
    ended_crashed="internal error",
    ended_shutdown="the client shut the server down",
    ended_fault="a fault asked for with --fault",
    proxy_untrusted="its address may send no PROXY headers (--trust-proxy).",
    proxy_late="the PROXY header did not come in time.",
    proxy_not_proxy="it does not begin with a PROXY header:",
    proxy_cut="the PROXY header is cut:",
    proxy_bad_protocol="the PROXY header says none of TCP4, TCP6 and UNKNOWN:",
    proxy_no_crlf="the PROXY header does not end within 107 bytes:",
    proxy_bare_lf="the PROXY header ends in LF, not in CRLF:",
    proxy_bad_line="the PROXY header is not two addresses and two ports:",
    proxy_bad_address="the PROXY header has an address that is not of its family:",
    proxy_bad_port="the PROXY header has a port over 65535:",
    proxy_bad_version="the PROXY header's version is not 2:",
    proxy_bad_command="the PROXY header's command is neither LOCAL nor PROXY:",
    proxy_bad_family="the PROXY header's family or transport does not exist:",
    proxy_too_long="the PROXY header announces more than 4096 bytes:",
    proxy_too_short="the PROXY header's addresses are cut:",
    proxy_tlv_overrun="a TLV runs over the end of the PROXY header:",
    proxy_bad_tlv="a TLV of the PROXY header has an impossible value:",
    proxy_bad_checksum="the PROXY header's checksum is wrong:",
    drain_console="asked for on the console",
    drain_signal="signal {name}",
    drain_remote="asked for by {peer}",
    console_hint="Type “cerrarservidor” to finish, “ayuda” for more.",
    console_nobody="No clients connected.",
    console_listing="Clients connected: {count}",
    console_help=(
        "cerrarservidor   closes every session and finishes\n"
        "listar           shows who is connected\n"
        "ayuda            shows these words"
    ),
    console_unknown="I don't know “{word}”. Type “ayuda” for the words.",
    console_unreadable="The console cannot be read; the server goes on. End it with Ctrl-C.",
    client_connected="Client connected to the server at {address}",
    client_prompt="Type a message: ",
    client_reply="Reply from the server: {text}",
    client_hint="↑ repeats · Ctrl-D leaves",
    client_hint_words="Words: {words} · Tab completes · ↑ repeats · Ctrl-D leaves",
    client_leaving="Asking the server to disconnect...",
    client_server_gone="the server closed the connection. Look at its console, or connect again.",
    client_input_lost=(
        "the server closed the connection before it had all of the input."
        " Look at its console, or send it again."
    ),
    client_replies_lost=(
        "the server closed the connection without answering everything."
        " Look at its console, or send it again."
    ),
    client_interrupted="Interrupted.",
    client_turn="Waiting for our turn: the server is serving somebody else (Ctrl-C to leave)...",
    client_progress="Sending",
    client_skipped="Line {number} not sent: {reason}",
    demo_server="server",
    demo_client="client",
    demo_first="1. STANDARD MESSAGE",
    demo_second="2. DISCONNECTION",
    demo_end="Both tests of the exercise passed.",
    error="Error: {message}",
    port_taken=(
        "port {port} of {host} is already in use. Close the other program"
        " or choose another port: --port {other} (0 finds a free one)."
    ),
    port_forbidden=(
        "not allowed to listen on {address}. Choose a port from 1024 up: --port {other}."
    ),
    cannot_listen="cannot listen on {address}: {reason}. Check --host and --port.",
    cannot_start="cannot start: {reason}. Free some descriptors (ulimit -n) or memory.",
    path_taken="somebody listens at {path} already, or it is no socket. Choose another: --unix.",
    cannot_listen_at_path="cannot listen at {path}: {reason}. Check --unix.",
    cannot_read="cannot use {files}: {reason}. Check the PEM files.",
    cannot_inherit=(
        "an inherited descriptor is no listening socket: {reason}."
        " Check the .socket unit (LISTEN_FDS)."
    ),
    unknown_host="the server “{host}” cannot be found. Check --host.",
    connection_refused=(
        "nobody listens on {address}."
        " Is the server running? python -m tcpecho_trio serve --port {port}"
    ),
    cannot_connect="cannot connect to {address}: {reason}. Check --host and --port.",
    cannot_connect_at_path="cannot connect to {path}: {reason}. Check --unix.",
    tls_untrusted=(
        "the certificate of {address} cannot be trusted: {reason}."
        " Name its CA with --tls-ca, or its name with --sni."
    ),
    tls_failed="{address} did not agree on TLS: {reason}. Is it a TLS port? Is --tls-cert due?",
    tls_internal_error="{address} cannot do TLS now; it may be full. Try again later.",
    lab_needs_extra="the extra tls-lab is missing: pip install '.[tls-lab]' in the project folder.",
    lab_bad_name="such a name cannot be certified: {names} ({reason}). Check --name.",
    lab_file_exists="{file} is there already, and no key is overwritten. Choose another folder.",
    lab_cannot_write="cannot write to {folder}: {reason}. Choose another folder.",
    connection_broke="the connection to {address} broke: {reason}. Connect again.",
    local_failure="cannot read the input or write the output: {reason}.",
    connect_too_slow=(
        "{address} does not answer within {seconds:g} s."
        " Check --host and --port, or wait longer: --timeout, --connect-retry."
    ),
    reply_too_slow=(
        "{address} does not reply within {seconds:g} s."
        " Is it serving somebody else? Wait longer: --timeout."
    ),
    client_busy="two tasks use the client at once: use ask(), which takes them in turn.",
    client_closed="the client is closed: open another one with open_client().",
    client_cut_short=(
        "a cancelled send left half a message on the wire: open another one with open_client()."
    ),
    message_with_line_feed=(
        "a message is one line and cannot hold a line feed: send several, one by one."
    ),
    message_blank=(
        "a blank message gets no reply from an old server (--framing raw): type something."
    ),
    message_without_pieces=(
        "a long message is cut every {limit} bytes, and here a piece would be blank"
        " or equal to a command (--framing raw): shorten it."
    ),
    cli_about=(
        "A TCP server that answers in UPPER CASE and closes on DESCONEXION, and its client.\n\n"
        "Every option is read from the environment too: TCPECHO_SERVE_PORT, TCPECHO_CLIENT_HOST..."
    ),
    cli_about_serve=(
        "Run the server.\n\nIt ends on “cerrarservidor” on its console or on Ctrl-C; a second"
        " signal waits for nobody."
    ),
    cli_about_client=(
        "Talk to a server.\n\nAt a terminal it asks for messages; in a pipe it sends its input and"
        " writes the replies; with -m it asks once and ends.\n\n"
        "Exit code: 0 done, 1 could not connect, connection broken or too slow, 2 wrong usage."
    ),
    cli_about_demo="Show the exercise's two manual tests.",
    cli_host="Address to listen on.",
    cli_host_client="The server's address.",
    cli_port="Port to listen on; 0 finds a free one.",
    cli_port_client="The server's port.",
    cli_dialect="Which words are commands.",
    cli_dialect_client="Which words the server understands.",
    cli_lang="Language of the console.",
    cli_max_connections="Clients at a time; the others are told that it is full.",
    cli_idle_timeout="Seconds of silence after which a connection is closed; 0: never.",
    cli_write_timeout="Seconds that a client may leave its replies unread; 0: no limit.",
    cli_drain_timeout="Seconds to wait for the clients when the server closes.",
    cli_remote_shutdown="From where a remote shutdown is obeyed.",
    cli_listen="Listen at tcp://host:port, tls://host:port or unix:///path; repeatable.",
    cli_unix="Listen at a Unix socket; repeatable.",
    cli_unix_mode="Permissions of the Unix socket's file, in octal.",
    cli_tls_cert="The server's certificate and its chain (PEM): clients speak TLS.",
    cli_tls_key="The certificate's private key (PEM).",
    cli_tls_client_ca="CA (PEM) whose client certificates are demanded: mutual TLS.",
    cli_unix_client="Connect to a Unix socket instead of --host and --port.",
    cli_tls="Speak TLS with the server.",
    cli_tls_ca="CA (PEM) to trust, instead of the system's.",
    cli_tls_cert_client="Our own certificate (PEM), if the server wants one.",
    cli_sni="The server's name to ask for and to check, instead of --host.",
    cli_insecure="Check no certificate: whoever answers may be anybody.",
    cli_send_proxy="Begin with a PROXY header, as a proxy would.",
    cli_about_lab_certs="Make a CA and throw-away certificates in DIR, for trying TLS.",
    cli_lab_names="A name or address of the server; repeatable.",
    cli_tls_both="--tls-cert and --tls-key go together.",
    cli_tls_needed="to listen at tls://, --tls-cert and --tls-key are needed.",
    cli_tls_ca_alone="with --tls-client-ca, --tls-cert and --tls-key are needed.",
    cli_proxy_protocol="Whether every connection begins with a PROXY header (v1 or v2).",
    cli_trust_proxy="Network from which a PROXY header is believed; repeatable.",
    cli_fault="A fault: delay:200ms@0.1, drip:100, stall, close:10, reset:10; repeatable.",
    cli_fault_seed="Decides which connections suffer the faults.",
    cli_banner="With --dialect inspect: send the report on connect, too.",
    cli_name="What this server calls itself in its reports.",
    cli_log_format="Told to a person, or one JSON object a line.",
    cli_quiet="Do not tell of connections and messages.",
    cli_no_console="Do not read commands from the terminal.",
    cli_portable="Without the Linux fast path; serves the same, more slowly.",
    cli_message="Send this message, write the reply and end. Can be repeated.",
    cli_framing="A message a line, or a message a send (for old servers).",
    cli_timeout="Seconds for connecting, and again for each reply.",
    cli_json="One JSON object a reply: sent, received, milliseconds.",
    cli_connect_retry="Seconds to keep trying while the server is starting.",
    cli_version="Show the version and exit.",
    cli_help="Show this message and exit.",
    cli_usage="Usage: ",
    cli_options="Options",
    cli_options_metavar="[OPTIONS]",
    cli_commands_metavar="COMMAND [OPTIONS]...",
    cli_default="[default: ",
    cli_commands="Commands",
    cli_hint="Try: {command} --help",
    cli_no_such_option="there is no option {name}.",
    cli_similar=" Did you mean {names}?",
    cli_no_such_command="there is no command {name}; those that there are: {known}.",
    cli_too_much="too much: {rest}",
    cli_takes_no_value="{name} takes no value.",
    cli_needs_value="{name} needs a value.",
    cli_missing="{name} is missing.",
    cli_bad_value="{name}: “{value}” will not do; expected: {expected}.",
    cli_bad_flag="{name}: 1 or 0 is expected.",
    cli_banner_alone="--banner needs --dialect inspect.",
    cli_trust_alone="--trust-proxy needs --proxy-protocol required.",
    expects_whole="a whole number",
    expects_within="a whole number from {type.min} to {type.max}",
    expects_at_least="a whole number, {type.min} or more",
    expects_seconds="a number of seconds, 0 or more",
    expects_time="a number of seconds above 0",
    expects_word="one of {type.listed}",
    expects_file="a file that can be read",
    expects_folder="a folder, or a free name to make one",
    expects_host="a name or an address",
    expects_endpoint="tcp://host:port, tls://host:port or unix:///path (of at most 99 bytes)",
    expects_socket="a path of 1 to 99 bytes",
    expects_mode="an octal mode such as 660",
    expects_network="an address, or a network without bits behind its prefix, such as 10.0.0.0/8",
    expects_fault="KIND[:AMOUNT][@SHARE]: delay:200ms@0.1, drip:100, stall, close:10, reset:10",
    expects_message="one line for each -m",
)

LANGUAGES: Mapping[str, Texts] = MappingProxyType({"es": SPANISH, "en": ENGLISH})
