"""The same in Spanish."""

from __future__ import annotations

from tcpecho_trio.texts.cluster_lines import ClusterTexts

SPANISH_CLUSTER = ClusterTexts(
    about=(
        "Atiende varios servidores que se conocen por medio de Redis (serve"
        " --cluster).\n\nCódigo de salida: 0 hecho, 1 no existe ese servidor, 2 mal uso, 3"
        " no hay Redis, 4 se acabó el tiempo."
    ),
    about_status="Mostrar los servidores: clientes, fase, versión, desde cuándo, dónde.",
    about_drain=("Hacer que un servidor, o todos, terminen en orden; esperar a que se hayan ido."),
    about_restart=(
        "Reiniciar servidores de uno en uno; esperar a que cada uno vuelva a estar listo. Se"
        " detiene en el primero que no lo esté."
    ),
    cluster=(
        "Redis del clúster: redis://, rediss:// [usuario@]host[:puerto][/bd] o unix:///ruta,"
        " quizá con ?prefix=NOMBRE."
    ),
    name="Nuestro nombre en el clúster. [por defecto: el de la máquina]",
    password_file="Archivo cuya primera línea es la contraseña de ese Redis.",
    ca=("CA (PEM) con la que se comprueba el servidor rediss://, en vez de las del sistema."),
    certificate="Nuestro certificado (PEM) para rediss://, si el servidor lo pide.",
    key="La clave privada del certificado (PEM).",
    json="Un objeto JSON en vez de la tabla.",
    watch="Mostrarlo de nuevo cada segundo, hasta Ctrl-C.",
    all="Todos los servidores.",
    timeout="Segundos que se espera a cada servidor.",
    alone="{option} necesita --cluster.",
    both="--cluster-cert y --cluster-key van juntos.",
    one_or_all="nombra un servidor, o di --all.",
    names_all="los nombres y --all no van juntos.",
    missing="falta --cluster (o TCPECHO_CLUSTER_CLUSTER, o TCPECHO_SERVE_CLUSTER).",
    bad_name="letras, cifras, «.», «_» y «-», a lo sumo 63, como web-1",
    expects_url="redis://host:puerto/0, rediss://host:puerto/0 o unix:///ruta",
    no_servers="Ningún servidor en {cluster}",
    summary="{cluster} · servidores: {servers} · clientes: {clients}",
    column_name="NOMBRE",
    column_clients="CLIENTES",
    column_phase="FASE",
    column_version="VERSIÓN",
    column_since="DESDE",
    column_addresses="DIRECCIONES",
    phases={
        "starting": "arrancando",
        "running": "activo",
        "delaying": "por cerrar",
        "draining": "cerrando",
        "stopped": "cerrado",
    },
    draining="{name}: cerrando...",
    gone="{name}: se fue ({seconds:.1f} s)",
    restarting="{name}: reiniciando...",
    ready="{name}: listo de nuevo ({seconds:.1f} s)",
    needs_extra=("falta el extra cluster: pip install '.[cluster]' en la carpeta del proyecto."),
    cannot_restart="no se puede reiniciar el programa: {reason}.",
    cannot_read="no se puede usar {file}: {reason}.",
    unreachable="no se puede llegar a {cluster}: {reason}.",
    no_answer="{cluster} no responde.",
    refused="{cluster} se niega: {reason}.",
    nobody="no hay ningún servidor en {cluster}.",
    unknown_name="no hay ningún servidor {name} en {cluster}; están: {known}.",
    same_name="varios servidores se llaman {name}: di cuál, por su id: {known}.",
    not_taken="{name} no tomó la orden en {seconds:g} s; no se le pidió a nadie más.",
    not_gone="{name} seguía ahí después de {seconds:g} s.",
    not_ready=(
        "{name} no volvió a estar listo en {seconds:g} s; los demás quedaron como estaban: {left}."
    ),
)
