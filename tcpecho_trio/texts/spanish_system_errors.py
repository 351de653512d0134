"""What the system and OpenSSL say when something fails, in Spanish: what users meet."""

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

TLS_ERRORS: Mapping[str, str] = MappingProxyType(
    {  # how OpenSSL's words begin, in small letters and with blanks
        "certificate has expired": "ha caducado",
        "certificate is not yet valid": "todavía no vale",
        "certificate revoked": "está revocado",
        "hostname mismatch, certificate is not valid for": "no vale para",
        "ip address mismatch, certificate is not valid for": "no vale para",
        "self-signed certificate in certificate chain": "no lo firma ninguna CA conocida",
        "self-signed certificate": "lo firma él mismo",
        "unable to get issuer certificate": "no lo firma ninguna CA conocida",
        "unable to get local issuer certificate": "no lo firma ninguna CA conocida",
        "certificate verify failed": "el certificado no convence",
        "key values mismatch": "la clave no es la del certificado",
        "no certificate or crl found": "no contiene ningún certificado",
        "no start line": "no es PEM",
        "pem lib": "no es PEM, o la clave no es la del certificado",
        "bad decrypt": "la clave está cifrada con otra contraseña",
        "unexpected eof while reading": "el otro extremo cerró la conexión",
        "unexpected message": "lo que contestó no es TLS",
        "wrong version number": "lo que contestó no es TLS",
        "record layer failure": "lo que contestó no es TLS",
        "no shared cipher": "no hay un cifrado común",
        "unsupported protocol": "no hay una versión común de TLS",
        "tlsv13 alert certificate required": "pide un certificado de cliente",
        "tlsv1 alert unknown ca": "no confía en nuestro certificado",
        "sslv3 alert bad certificate": "no acepta nuestro certificado",
        "sslv3 alert handshake failure": "no hubo acuerdo",
        "ssl/tls alert handshake failure": "no hubo acuerdo",
        "tlsv1 alert protocol version": "no hay una versión común de TLS",
    }
)
