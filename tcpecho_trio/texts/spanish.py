"""In Spanish. The wording of the exercise's own lines is seed 000's, to the letter."""

from __future__ import annotations

from tcpecho_trio.texts.cluster_spanish import SPANISH_CLUSTER
from tcpecho_trio.texts.lines import Texts
from tcpecho_trio.texts.load_spanish import SPANISH_LOAD
from tcpecho_trio.texts.process_spanish import SPANISH_PROCESSES
from tcpecho_trio.texts.spanish_system_errors import SYSTEM_ERRORS, TLS_ERRORS

SPANISH = Texts(
    listening="Servidor TCP activo en {listener} y esperando conexiones...",
    admin_listening="Administración en {listener}",
    cluster_joined="Miembro del clúster {cluster} como {member}; otros servidores: {others}",
    cluster_lost=(
        "Sin contacto con el clúster {cluster}: {error}. Los clientes no notan nada; se reintenta"
    ),
    cluster_timeout="no responde a tiempo",
    cluster_name_taken=(
        "Otro servidor del clúster también se llama {member} ({addresses}): da a cada uno su"
        " --cluster-name"
    ),
    connected="[{client}] Cliente conectado",
    received="[{client}] Mensaje recibido: {text}",
    replied="[{client}] Respuesta enviada: {text}",
    leaving="[{client}] Cliente solicitó desconexión. Cerrando conexión...",
    closed="[{client}] Conexión terminada: {reason}",
    crashed="[{client}] Error interno del servidor (por favor, repórtalo):\n{traceback}",
    shutdown_refused="[{client}] Apagado remoto rechazado ({count})",
    refused="[{client}] Conexión rechazada: el servidor está lleno ({count})",
    refused_address="[{client}] Conexión rechazada: demasiadas desde su dirección ({count})",
    probe="[{client}] Sonda: se fue sin decir nada",
    foreign="[{client}] Conexión cortada: habla {protocol}, no este protocolo ({count})",
    unraisable="Error interno que nadie podía atrapar ({count}): {error}",
    proxy_refused="[{client}] Conexión cerrada: {fault} {seen} ({count})",
    tls_refused="[{client}] Conexión cerrada: la negociación TLS falló: {error} ({count})",
    tls_reloaded="Certificado TLS leído de nuevo.",
    tls_kept="El certificado TLS no se pudo leer de nuevo; sigue el anterior: {error}",
    admission_aborted="[{client}] Cortado mientras entraba: el servidor se cierra",
    access_log_reopened="Registro de accesos: archivo abierto de nuevo",
    access_log_kept="Registro de accesos: sigue el archivo anterior ({error})",
    access_log_lost=(
        "Registro de accesos: {count} línea perdida",
        "Registro de accesos: {count} líneas perdidas",
    ),
    faulty="[{client}] Esta conexión sufrirá: {faults}",
    faults_changed="Fallos a propósito desde ahora: {faults}",
    no_faults="ninguno",
    accept_failed="No se pueden aceptar conexiones por ahora (intentos: {count}): {error}",
    shutdown_delayed="Cierre pedido ({reason}): se aceptan clientes {seconds:g} s más...",
    draining="Cerrando el servidor ({reason}): clientes conectados: {clients}...",
    cutting="Cerrando el servidor sin esperar a nadie más...",
    stopped="Servidor detenido: {served}, {aborted}.",
    clients_served=("{count} cliente atendido", "{count} clientes atendidos"),
    clients_aborted=("{count} cortado", "{count} cortados"),
    more_messages="… y {count}",
    more_connections="… y {count}",
    omitted_messages=("{count} mensaje más", "{count} mensajes más"),
    omitted_connections=("{count} conexión más", "{count} conexiones más"),
    thousands=" ",
    lines_lost=(
        "… {count} línea perdida: esta salida no avanzaba",
        "… {count} líneas perdidas: esta salida no avanzaba",
    ),
    closed_disconnected="el cliente se despidió",
    closed_eof="el cliente cerró",
    closed_drained="el servidor se cierra",
    closed_idle="demasiado tiempo sin decir nada",
    closed_operator="lo cerró quien administra el servidor",
    closed_reset="se perdió la conexión con el cliente",
    closed_write_timeout="no leía sus respuestas",
    closed_foreign="hablaba otro protocolo",
    closed_aborted="cortada",
    closed_crashed="error interno",
    closed_probe="se fue sin decir nada",
    closed_full="el servidor está lleno",
    closed_address_limit="ya hay demasiados clientes desde su dirección",
    closed_proxy_header="su cabecera PROXY no vale",
    closed_tls_handshake="no hubo acuerdo sobre TLS",
    closed_shutdown="el cliente apagó el servidor",
    closed_fault="fallo pedido con --fault",
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
    drain_remote="pedido por {client}",
    drain_program="pedido por el programa",
    drain_admin="pedido por quien administra el servidor",
    drain_cluster="pedido por quien administra el clúster",
    drain_restart="lo reemplaza uno nuevo",
    console_hint="Escribe «cerrarservidor» para terminar, «ayuda» para ver más.",
    console_nobody="No hay clientes conectados.",
    console_listing="Clientes conectados: {count}",
    console_client="{number}  {client}  desde {since}  mensajes: {messages}  bytes: {size}",
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
    client_retrying=(
        "Aún no contesta nadie en {address}; se insiste durante {seconds:g} s"
        " (Ctrl-C para salir)..."
    ),
    client_more_lines=("… y {count} línea más", "… y {count} líneas más"),
    client_hint_raw="(El servidor no termina sus líneas. Para hablar con él: --framing raw)",
    client_hint_dialect="(El servidor habla otro dialecto: --dialect {dialect})",
    client_hint_case="(Si querías dar una orden, se escribe así: {word})",
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
    cannot_start=(
        "no se puede empezar: {reason}. Libera descriptores (ulimit -n), procesos o memoria."
    ),
    path_taken="en {path} ya escucha otro, o no es un socket. Elige otra ruta: --unix.",
    cannot_listen_at_path="no se puede escuchar en {path}: {reason}. Revisa --unix.",
    cannot_read="no se puede usar {files}: {reason}. Revisa los archivos PEM.",
    cannot_read_token="no hay un secreto en {file}: {reason}. Escríbelo ahí, en una línea.",
    cannot_log="no se puede escribir en {file}: {reason}. Revisa --access-log.",
    cannot_administer="la administración no puede escuchar en {address}: {reason}. Revisa --admin.",
    admin_needs_extra="falta el extra admin: pip install '.[admin]' en la carpeta del proyecto.",
    admin_in_clear="aviso: {listener} va sin TLS: quien escuche en la red puede leer el secreto.",
    cannot_inherit=(
        "un descriptor heredado no es un socket que escucha: {reason}."
        " Revisa la unidad .socket (LISTEN_FDS)."
    ),
    unknown_host="no se encuentra el servidor «{host}». Revisa --host.",
    connection_refused=(
        "nadie escucha en {address}. ¿Está encendido el servidor? {program} serve --port {port}"
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
    no_line_reply=(
        "{address} no responde en {seconds:g} s. ¿Atiende a otro cliente? Espera más: --timeout."
    ),
    no_raw_reply=(
        "{address} no responde en {seconds:g} s. ¿Atiende a otro cliente, o espera el fin de una"
        " línea? Espera más: --timeout; o quita --framing raw."
    ),
    unfinished_line_reply=(
        "{address} no terminó su respuesta en {seconds:g} s. Llegó: «{text}»."
        " ¿No sabe de líneas? --framing raw."
    ),
    unfinished_raw_reply=(
        "{address} no terminó su respuesta en {seconds:g} s. Llegó: «{text}»."
        " Espera más: --timeout."
    ),
    reply_too_long=(
        "la respuesta no termina: han llegado más de {limit} MiB. ¿Es este el servidor?"
    ),
    line_too_long="la línea {number} de la entrada pasa de {limit} MiB: acórtala.",
    lines_left_out=("líneas de la entrada sin enviar: {count}. Corrígelas y envíalas otra vez."),
    server_full="{address} no nos atiende: {reason}.",
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
    system_errors=SYSTEM_ERRORS,
    tls_errors=TLS_ERRORS,
    cli_about=(
        "Servidor TCP que responde en MAYÚSCULAS y cierra con DESCONEXION, y su cliente.\n\n"
        "Cada opción también se lee del entorno: TCPECHO_SERVE_PORT, TCPECHO_CLIENT_HOST..."
    ),
    cli_about_serve=(
        "Enciende el servidor.\n\n"
        "Termina con «cerrarservidor» en su consola o con Ctrl-C;"
        " una segunda señal no espera a nadie.\n\n"
        "Código de salida: 0 bien, 2 mal uso, 3 no se puede escuchar."
    ),
    cli_about_client=(
        "Conversa con un servidor.\n\n"
        "En una terminal pide mensajes; en una tubería envía la entrada y escribe las respuestas;"
        " con -m hace una pregunta y termina.\n\n"
        "Código de salida: 0 bien, 1 la conversación se cortó o no fue lo que debía, 2 mal uso,"
        " 3 no se pudo conectar, 4 se agotó un plazo."
    ),
    cli_about_demo="Muestra las dos pruebas manuales del ejercicio.",
    cli_host="Dirección en la que escucha; :: o * son todas, IPv4 e IPv6.",
    cli_host_client="Dirección del servidor.",
    cli_port="Puerto en el que escucha; 0 busca uno libre.",
    cli_port_client="Puerto del servidor.",
    cli_dialect="Qué palabras son órdenes.",
    cli_dialect_client="Qué palabras entiende el servidor.",
    cli_lang="Idioma de la consola.",
    cli_max_connections="Clientes a la vez; a los demás se les dice que está lleno.",
    cli_max_connections_per_address=(
        "Clientes a la vez desde una dirección (IPv6: desde una red /64); 0: sin límite."
    ),
    cli_idle_timeout="Segundos sin decir nada tras los que se cierra una conexión; 0: nunca.",
    cli_write_timeout="Segundos que un cliente puede pasar sin leer; 0: sin límite.",
    cli_shutdown_delay="Segundos entre la primera señal y el cierre, con la puerta aún abierta.",
    cli_drain_timeout="Segundos que se espera a los clientes al cerrar el servidor.",
    cli_remote_shutdown="Desde dónde se obedece el apagado remoto.",
    cli_listen=(
        "Escuchar en tcp://host:puerto, tls://host:puerto o unix:///ruta, quizá con"
        " ?dialect=NOMBRE&proxy=required (u off); repetible."
    ),
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
    cli_proxy_mixed_families="Aceptar la línea TCP6 de nginx con una dirección IPv4.",
    cli_trust_proxy="Red desde la que se cree una cabecera PROXY; repetible.",
    cli_fault="Fallo a propósito: delay:200ms@0.1, drip:100, stall, close:10, reset:10; repetible.",
    cli_fault_seed="Semilla que decide qué conexiones sufren los fallos.",
    cli_banner="Con --dialect inspect: mandar el informe también al conectar.",
    cli_name="Cómo se llama este servidor en sus informes.",
    cli_log_format="Relato para una persona, o un objeto JSON por línea.",
    cli_quiet="No mostrar conexiones ni mensajes.",
    cli_log_probes="Contar también las sondas: conexiones que se van sin decir nada.",
    cli_access_log="Archivo con una línea JSON por conexión cerrada; - es la salida estándar.",
    cli_access_log_probes="Anotar también los sondeos: conexiones que se van sin decir nada.",
    cli_access_log_alone="--access-log-probes necesita --access-log.",
    cli_admin="Administración por HTTP: http://127.0.0.1:9500, https://… o unix:///ruta.",
    cli_admin_token_file="Archivo con el secreto que hay que mostrar para administrar.",
    cli_admin_needs_token="fuera de esta máquina, --admin necesita --admin-token-file.",
    cli_admin_needs_tls="con https://, --admin necesita --tls-cert y --tls-key.",
    cli_admin_token_alone="--admin-token-file necesita --admin.",
    cli_no_console="No leer órdenes de la terminal.",
    cli_portable="Sin la vía rápida de Linux; sirve lo mismo, más despacio.",
    cli_message="Envía este mensaje, escribe la respuesta y termina. Se puede repetir.",
    cli_framing="Un mensaje por línea, o por envío (para servidores antiguos).",
    cli_timeout=(
        "Segundos para conectar, y otra vez para cada respuesta. [con -m: {seconds:g}; si no,"
        " sin límite]"
    ),
    cli_json="Un objeto JSON por mensaje: sent, received, milliseconds, y error si lo hay.",
    cli_connect_retry="Segundos que se insiste mientras el servidor arranca.",
    cli_version="Muestra la versión y termina.",
    cli_help="Muestra esta ayuda y termina.",
    cli_usage="Uso: ",
    cli_options="Opciones",
    cli_metavars={
        "TEXT": "TEXTO",
        "NAME": "NOMBRE",
        "PATH": "RUTA",
        "FILE": "ARCHIVO",
        "INTEGER": "NÚMERO",
        "INTEGER RANGE": "NÚMERO",
        "SECONDS": "SEGUNDOS",
        "SPEC": "FALLO",
        "COUNT": "NÚMERO",
        "RATE": "RITMO",
        "TIME": "TIEMPO",
        "FROM:TO:TIME": "DESDE:HASTA:TIEMPO",
        "CONDITION": "CONDICIÓN",
        "[HOST:PORT]": "[HOST:PUERTO]",
    },
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
    cli_no_unix="Este sistema no tiene sockets Unix. Usa --host y --port.",
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
    expects_admin="http://host:puerto, https://host:puerto o unix:///ruta (de 99 bytes como mucho)",
    expects_socket="una ruta de 1 a 99 bytes",
    expects_mode="un modo en octal, como 660",
    expects_network="una dirección, o una red sin bits tras el prefijo, como 10.0.0.0/8",
    expects_fault="CLASE[:CANTIDAD][@PARTE]: delay:200ms@0.1, drip:100, stall, close:10, reset:10",
    expects_message="una sola línea por cada -m",
    load=SPANISH_LOAD,
    processes=SPANISH_PROCESSES,
    cluster=SPANISH_CLUSTER,
)
