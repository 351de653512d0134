"""PROXY headers that haproxy 2.6.12 made, byte for byte as a listener behind it read them.

Each connection sent ``hola\\n``; the health checks sent nothing. The configuration, with the
ports that the system had chosen (those of the backends are left out)::

    defaults
      mode tcp
      timeout connect 5s
      timeout client 5s
      timeout server 5s
      unique-id-format %[uuid()]

    listen V1_TCP4
      bind 127.0.0.1:47903
      server s 127.0.0.1:… send-proxy
    listen V1_TCP6
      bind [::1]:45979
      server s 127.0.0.1:… send-proxy
    listen V1_MAPPED                              # a client at 127.0.0.1
      bind [::]:38837 v4v6
      server s 127.0.0.1:… send-proxy
    listen V1_UNIX
      bind unix@/tmp/cap/v1_unix.sock
      server s 127.0.0.1:… send-proxy
    listen V1_CHECK
      bind 127.0.0.1:38645
      server s 127.0.0.1:38295 send-proxy check inter 200
    listen V2_TCP4
      bind 127.0.0.1:53421
      server s 127.0.0.1:… send-proxy-v2
    listen V2_TCP6
      bind [::1]:38361
      server s 127.0.0.1:… send-proxy-v2
    listen V2_MAPPED                              # a client at 127.0.0.1
      bind [::]:43993 v4v6
      server s 127.0.0.1:… send-proxy-v2
    listen V2_UNIX                                # haproxy calls it LOCAL
      bind unix@/tmp/cap/v2_unix.sock
      server s 127.0.0.1:… send-proxy-v2
    listen V2_CHECK
      bind 127.0.0.1:34001
      server s 127.0.0.1:… send-proxy-v2 check inter 200
    listen V2_CERTIFICATE                         # a client with a certificate
      bind 127.0.0.1:52245 ssl crt server.pem ca-file ca.pem verify optional alpn h2,http/1.1
      server s 127.0.0.1:… send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,cert-sig,cert-key,\
authority,crc32c,unique-id
    listen V2_NO_CERTIFICATE                      # a client without one
      bind 127.0.0.1:39705 ssl crt server.pem ca-file ca.pem verify optional alpn h2,http/1.1
      server s 127.0.0.1:… send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,cert-sig,cert-key,\
authority,crc32c,unique-id
"""

from __future__ import annotations

V1_TCP4 = b"PROXY TCP4 127.0.0.1 127.0.0.1 39014 47903\r\nhola\n"
V1_TCP6 = b"PROXY TCP6 ::1 ::1 58214 45979\r\nhola\n"
V1_MAPPED = b"PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 60062 38837\r\nhola\n"
V1_UNIX = b"PROXY UNKNOWN\r\nhola\n"
V1_CHECK = b"PROXY TCP4 127.0.0.1 127.0.0.1 41474 38295\r\n"
V2_TCP4 = (
    b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x85\x0c\xd0\xadhola\n"
)
V2_TCP6 = (
    b"\r\n\r\n\x00\r\nQUIT\n!!\x00$"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xb3\x04\x95\xd9hola\n"
)
V2_MAPPED = (
    b"\r\n\r\n\x00\r\nQUIT\n!!\x00$"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01"
    b'\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x00\x00\x01\xe3"\xab\xd9hola\n'
)
V2_UNIX = b"\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00hola\n"
V2_CHECK = b"\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00"
V2_CERTIFICATE = (
    b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\xab\x7f\x00\x00\x01\x7f\x00\x00\x01\xa3\x02\xcc\x15"
    b"\x03\x00\x04\xf1\xb0\x0cZ\x01\x00\x02h2\x02\x00\x11front.example.org"
    b"\x05\x00$7a340933-1d81-43f9-8af5-92411f2bd7c2 \x00U\x07\x00\x00\x00\x00"
    b'!\x00\x07TLSv1.3"\x00\x0e\xc3\x91and\xc3\xba client'
    b"%\x00\x05EC256$\x00\x11ecdsa-with-SHA256#\x00\x16TLS_AES_256_GCM_SHA384hola\n"
)
V2_NO_CERTIFICATE = (
    b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x9a\x7f\x00\x00\x01\x7f\x00\x00\x01\xba\x04\x9b\x19"
    b"\x03\x00\x04\x9b\xb7\x95l\x01\x00\x02h2\x02\x00\x11front.example.org"
    b"\x05\x00$d20500b9-3803-4fe5-bdc2-eae3fea8e0a4 \x00D\x01\x00\x00\x00\x00!\x00\x07TLSv1.3"
    b"%\x00\x05EC256$\x00\x11ecdsa-with-SHA256#\x00\x16TLS_AES_256_GCM_SHA384hola\n"
)
