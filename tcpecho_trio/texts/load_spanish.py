"""What the load generator says, in Spanish."""

from __future__ import annotations

from tcpecho_trio.texts.load_lines import LoadTexts

SPANISH_LOAD = LoadTexts(
    about=(
        "Carga un servidor de eco y mide sus respuestas.\n\nCada respuesta se compara,"
        " byte a byte, con la que debe ser. Con --rate cada mensaje tiene su momento, y"
        " su espera cuenta desde entonces (bucle abierto); sin él, cada conexión espera"
        " su respuesta antes de seguir (bucle cerrado). Ctrl-C termina antes con un"
        " informe completo; otro, en el acto.\n\nCódigo de salida: 0 bien, 1 hubo errores"
        " o no se cumplió --fail-if, 2 mal uso, 3 no hay conexión, 4 no respondió nadie."
    ),
    help_target="El servidor; sin puerto, el 5000. [por defecto: localhost:5000]",
    help_connections="Conexiones a la vez.",
    help_rate=(
        "Mensajes por segundo entre todas las conexiones (20000, 20k), o max: tan rápido"
        " como lleguen las respuestas."
    ),
    help_ramp=("Ritmo que sube, como 1k:50k:30s: busca el mayor que el servidor aguanta (--slo)."),
    help_slo="Con --ramp: el p99 que aún es bueno.",
    help_pipeline="Mensajes en camino por conexión.",
    help_duration="Cuánto dura, como 30s o 5m. [por defecto: 10s]",
    help_warmup="Tiempo antes de empezar a contar.",
    help_messages="Mensajes en total.",
    help_size="Bytes de cada mensaje con su fin de línea, o de cuántos a cuántos: 64-4096.",
    help_message="Texto que se envía siempre, en vez de mensajes numerados.",
    help_file="Archivo cuyas líneas se envían por turno.",
    help_expect="Qué debe ser la respuesta: mayúsculas, eco o cualquiera.",
    help_leave="Se dice antes de cerrar, sin líneas; DESCONEXION si no se da.",
    help_framing=("Si un mensaje termina en fin de línea, o va suelto (servidores del ejercicio)."),
    help_churn="Una conexión nueva para cada mensaje.",
    help_think="Pausa entre una respuesta y el mensaje siguiente, como 100ms.",
    help_timeout="Cuánto puede tardar una conexión, o una respuesta sin contar como tardía.",
    help_json="Informe en JSON; - es la salida estándar.",
    help_html="Informe en una página HTML que no necesita nada más.",
    help_hdr="Registro de HdrHistogram, para otras herramientas.",
    help_compare="Informe JSON anterior con el que comparar.",
    help_fail_if="Condición que hace terminar con 1, como p99>20ms o errors>0; repetible.",
    help_seed="Decide los tamaños de --size.",
    help_quiet="No mostrar nada mientras dura.",
    help_anywhere="Permitir más de una conexión a una dirección que no es privada.",
    help_portable="Prescindir de epoll.",
    help_sni="Nombre del servidor que se pide y se comprueba, en vez de HOST.",
    help_unix="Conectar con un socket Unix en vez de HOST:PUERTO.",
    expects_address="HOST:PUERTO, como localhost:5000 o [::1]:5000",
    expects_rate="un ritmo mayor que 0, como 20000 o 20k, o max",
    expects_ramp="DESDE:HASTA:TIEMPO, como 1k:50k:30s",
    expects_time="un tiempo, como 30s, 100ms o 5m",
    expects_size="bytes de 1 a 16m, como 64, 4k o 64-4096",
    expects_count="un número mayor que 0, como 1000 o 10k",
    expects_condition=(
        "NOMBRE, < o >, y un límite, como p99>20ms, service.p50>1ms, errors>0,"
        " errors>0.1% o rate<1000"
    ),
    expects_report="un JSON de tcpecho_trio load --json",
    bad_connections="el número de conexiones va de 1 a 1 000 000 (-c).",
    bad_pipeline="los mensajes en camino van de 1 a 1 000 000 (--pipeline).",
    bad_size=("un mensaje tiene de 1 a 16777216 bytes, y el mínimo no supera al máximo (--size)."),
    bad_rate="el ritmo debe ser mayor que 0 (--rate).",
    bad_ramp=(
        "la rampa sube de un ritmo mayor que 0 a otro mayor o igual, en más de 0 s (--ramp)."
    ),
    bad_duration="la duración debe ser mayor que 0 (--duration).",
    bad_warmup="el calentamiento no puede ser negativo (--warmup).",
    bad_think="la pausa no puede ser negativa (--think).",
    bad_timeout="el plazo debe ser mayor que 0 (--timeout).",
    bad_slo="el p99 aceptable debe ser mayor que 0 (--slo).",
    bad_messages="hace falta un mensaje al menos (--messages).",
    rate_and_ramp="--rate y --ramp no van juntos.",
    ramp_duration="una rampa ya dice cuánto dura: --ramp y --duration no van juntos.",
    think_open="--think es para el bucle cerrado: no va con --rate ni --ramp.",
    think_pipeline="--think y --pipeline no van juntos.",
    churn_pipeline="--churn y --pipeline no van juntos: cada conexión lleva un mensaje.",
    churn_think="--churn y --think no van juntos.",
    raw_any=("sin líneas y con cualquier respuesta no se sabe dónde acaba una: usa --pipeline 1."),
    line_feed="un mensaje es una sola línea: quita el fin de línea, o usa --framing raw.",
    blank="un mensaje vacío no se puede enviar sin línea: quítalo, o usa --framing line.",
    file_large="{path} es demasiado grande: {limit} MiB como mucho (--file).",
    file_empty="{path} está vacío: cada línea es un mensaje (--file).",
    descriptors=(
        "{connections} conexiones necesitan {needed} descriptores y el límite es {limit}."
        " Súbelo (ulimit -n) o baja -c."
    ),
    public=(
        "{address} no es una dirección privada. Carga solo lo tuyo: con -c 1, o con"
        " --yes-i-may si te está permitido."
    ),
    same_file="{path} no puede ser dos informes a la vez. Da un nombre distinto a cada uno.",
    two_texts="--message y --file no van juntos.",
    sized_text="--size no va con --message ni --file: ellos traen el texto.",
    two_targets="HOST:PUERTO y --unix no van juntos.",
    leave_alone="--leave necesita --framing raw.",
    slo_alone="--slo necesita --ramp.",
    bad_compare="{path} no es un informe JSON de load --json (--compare).",
    needs_hdr="falta el extra load: pip install '.[load]' en la carpeta del proyecto (--hdr).",
    cannot_write="no se puede escribir {path}: {reason}. Elige otro sitio.",
    cannot_read="no se puede leer {path}: {reason}.",
    met_errors=("hubo errores: {errors}. El informe dice cuáles; --fail-if decide qué se tolera."),
    unmet="--fail-if {conditions}.",
    silent=(
        "{address} no ha respondido a nada en {seconds:g} s. ¿Es un servidor de eco?"
        " ¿Hace falta --framing raw?"
    ),
    no_reply=(
        "{address} no ha dado ni una respuesta correcta: {errors}. ¿Es un servidor de"
        " eco? Revisa --expect, --framing y --tls."
    ),
    unknown_host="no se encuentra el servidor «{host}». Revisa HOST:PUERTO.",
    cannot_connect="no se puede conectar con {address}: {reason}. Revisa HOST:PUERTO.",
    decimal=",",
    title="Carga de {address}",
    setup_connections=("{count} conexión", "{count} conexiones"),
    setup_open="bucle abierto, {rate} mensajes/s",
    setup_ramp="bucle abierto, de {low} a {high} mensajes/s",
    setup_closed="bucle cerrado",
    setup_size=("{size} byte", "{size} bytes"),
    setup_texts=("{count} texto dado", "{count} textos dados"),
    setup_pipeline="{count} mensajes en camino por conexión",
    setup_churn="una conexión por mensaje",
    setup_think="pausas de {seconds:g} s",
    row_sent="mensajes enviados",
    row_replies="respuestas correctas",
    row_cut="en camino al interrumpir",
    row_errors="errores",
    row_rate="respuestas por segundo",
    row_seconds="segundos medidos",
    row_cpu="CPU del generador, µs/mensaje",
    column_ms="milisegundos",
    since_due="desde su momento",
    since_sent="desde el envío",
    connecting="conectar",
    handshaking="negociar TLS",
    lateness="retraso propio",
    about_open=(
        "Bucle abierto: cada mensaje tenía su momento, y su espera cuenta desde entonces,"
        " también mientras el servidor se atasca."
    ),
    about_closed=(
        "Bucle cerrado: cada conexión espera su respuesta antes de enviar otra vez."
        " Mientras el servidor se atasca no se envía nada, así que un atasco cuenta una"
        " vez por conexión. Lo que esperaría un usuario lo dice --rate."
    ),
    about_same_text=(
        "El texto no lleva número: no se nota si una respuesta es la de otro mensaje igual."
    ),
    about_any="Con --expect any no se compara nada: solo se cuentan respuestas.",
    warn_rate=(
        "¡Ojo! El generador no mantuvo su ritmo: envió {sent} de {asked} mensajes, con un"
        " retraso propio de {late} ms (p99)."
    ),
    warn_late="¡Ojo! El propio generador envió tarde: {late} ms (p99).",
    warn_interrupted="Interrumpido: el informe cuenta lo que hubo hasta entonces.",
    warn_warmup="Errores en el calentamiento, que no cuentan: {errors}.",
    wrong_sample=(
        "respuesta errónea en la conexión {connection}: se esperaba {expected}, llegó {received}"
    ),
    ramp_title="mensajes/s",
    ramp_replies="respuestas/s",
    ramp_p99="p99, ms",
    knee="Mayor ritmo con p99 por debajo de {slo} ms: {rate} mensajes/s.",
    no_knee="Ningún ritmo mantuvo el p99 por debajo de {slo} ms.",
    knee_above="Aguantó toda la rampa: el límite está más arriba.",
    kinds={
        "wrong": "erróneas",
        "late": "tardías",
        "missing": "sin llegar",
        "unexpected": "no pedidas",
        "unsent": "sin enviar",
        "closed": "cierres del servidor",
        "reset": "conexiones rotas",
        "refused": "conexiones rechazadas",
        "full": "servidor lleno",
        "connect_timeout": "conexiones sin hacerse a tiempo",
        "tls": "negociaciones TLS fallidas",
        "local": "falta de recursos propios",
    },
    live_connecting="Conectando...",
    live_line=(
        "{elapsed} s · {rate}/s · {connections} conexiones · p50 {p50} p99 {p99} máx"
        " {max} ms · errores {errors} · quedan {left}"
    ),
    live_rate="ritmo",
    live_connections="conexiones",
    live_errors="errores",
    live_left="quedan",
    live_stopping=(
        "Terminando: se esperan las últimas respuestas (Ctrl-C otra vez: en el acto)..."
    ),
    compare_title="Comparado con {path}",
    compare_before="antes",
    compare_now="ahora",
    compare_change="cambio",
    compare_more="más que ruido",
    compare_noise="dentro del ruido",
    compare_short="muy corto para saberlo",
    compare_other="¡Ojo! No se pidió lo mismo: {names}.",
    page_percentiles="Latencia por percentil",
    page_latency="Latencia en el tiempo",
    page_throughput="Respuestas por segundo y errores",
    page_figures="En cifras",
    page_seconds="segundos",
    page_options="Lo que se pidió",
    page_command="Para repetirlo",
    page_when="{when}, tcpecho_trio {version}, Python {python}, {platform}",
)
