"""About a server of several processes, in English."""

from __future__ import annotations

from tcpecho_trio.texts.process_lines import ProcessTexts

ENGLISH_PROCESSES = ProcessTexts(
    worker_ready="Process {worker} serves (pid {pid})",
    worker_ended="Process {worker} has ended (pid {pid}): clients served: {served}",
    worker_died="Process {worker} died (pid {pid}, {cause}); connections lost: {lost}",
    worker_hung="Process {worker} (pid {pid}) has not moved for {seconds:.0f} s: it is killed",
    worker_not_started="No new process could be started ({error}); again in {seconds:g} s...",
    worker_said="[process {worker}] {text}",
    worker_replaced="Process {successor} takes the place of {worker}, which serves its clients on",
    workers_replaced="All processes replaced: {workers}",
    replacement_stopped="No process is replaced any more: the new one did not start ({error})",
    exit_code="exit code {code}",
    no_worker="no process of the server could be started: {reason}.",
    no_supervisor="TCPECHO_TRIO_WORKER is the supervisor's; take it out of the environment.",
    cli_processes="Processes that serve; auto: one for each processor that may be used.",
    cli_no_processes="On this system a server is one process: leave out --processes.",
    expects_processes="auto, or a whole number from 1 to {type.most}",
)
