"""What the system says when something fails, in Spanish: errno(3), the numbers that users meet."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from types import MappingProxyType

SYSTEM_ERRORS: Mapping[int, str] = MappingProxyType(
    {
        errno.EPERM: "operación no permitida",
        errno.ENOENT: "no existe tal archivo o carpeta",
        errno.EINTR: "llamada interrumpida",
        errno.EIO: "error de entrada o salida",
        errno.ENXIO: "no existe tal dispositivo o dirección",
        errno.EBADF: "descriptor no válido",
        errno.EAGAIN: "recurso ocupado por ahora",
        errno.ENOMEM: "no hay memoria suficiente",
        errno.EACCES: "permiso denegado",
        errno.EBUSY: "dispositivo o recurso ocupado",
        errno.EEXIST: "el archivo ya existe",
        errno.ENODEV: "no existe tal dispositivo",
        errno.ENOTDIR: "no es una carpeta",
        errno.EISDIR: "es una carpeta",
        errno.EINVAL: "argumento no válido",
        errno.ENFILE: "demasiados archivos abiertos en el sistema",
        errno.EMFILE: "demasiados archivos abiertos",
        errno.EFBIG: "archivo demasiado grande",
        errno.ENOSPC: "no queda espacio en el disco",
        errno.EROFS: "sistema de archivos de solo lectura",
        errno.EPIPE: "nadie lee al otro lado",
        errno.ENAMETOOLONG: "nombre demasiado largo",
        errno.ELOOP: "demasiados enlaces simbólicos",
        errno.ENOTSOCK: "no es un socket",
        errno.EPROTONOSUPPORT: "protocolo no admitido",
        errno.EOPNOTSUPP: "operación no admitida",
        errno.EAFNOSUPPORT: "familia de direcciones no admitida",
        errno.EADDRINUSE: "la dirección ya está en uso",
        errno.EADDRNOTAVAIL: "esa dirección no es de esta máquina",
        errno.ENETDOWN: "la red está caída",
        errno.ENETUNREACH: "no hay ruta a esa red",
        errno.ECONNABORTED: "la conexión se interrumpió",
        errno.ECONNRESET: "el otro extremo cortó la conexión",
        errno.ENOBUFS: "no hay memoria para la red",
        errno.ENOTCONN: "no hay conexión",
        errno.ETIMEDOUT: "se agotó el tiempo de espera",
        errno.ECONNREFUSED: "conexión rechazada",
        errno.EHOSTDOWN: "la máquina está apagada",
        errno.EHOSTUNREACH: "no hay ruta a esa máquina",
        errno.EDQUOT: "se agotó la cuota de disco",
    }
)
