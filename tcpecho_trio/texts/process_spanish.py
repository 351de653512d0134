"""Sobre un servidor de varios procesos, en español."""

from __future__ import annotations

from tcpecho_trio.texts.process_lines import ProcessTexts

SPANISH_PROCESSES = ProcessTexts(
    worker_ready="El proceso {worker} atiende (pid {pid})",
    worker_ended="El proceso {worker} ha terminado (pid {pid}): clientes atendidos: {served}",
    worker_died="El proceso {worker} murió (pid {pid}, {cause}); conexiones perdidas: {lost}",
    worker_hung="El proceso {worker} (pid {pid}) lleva {seconds:.0f} s sin moverse: se elimina",
    worker_not_started="No se pudo iniciar otro proceso ({error}); de nuevo en {seconds:g} s...",
    worker_said="[proceso {worker}] {text}",
    worker_replaced="El proceso {successor} releva al {worker}, que sigue con sus clientes",
    workers_replaced="Procesos relevados: {workers}",
    replacement_stopped="No se releva a ningún proceso más: el nuevo no arrancó ({error})",
    exit_code="código de salida {code}",
    no_worker="no se pudo iniciar ningún proceso del servidor: {reason}.",
    no_supervisor="TCPECHO_TRIO_WORKER es del supervisor; quítala del entorno.",
    cli_processes="Procesos que atienden; auto: uno por cada procesador que se pueda usar.",
    cli_no_processes="En este sistema un servidor es un solo proceso: quita --processes.",
    expects_processes="auto, o un número entero de 1 a {type.most}",
)
