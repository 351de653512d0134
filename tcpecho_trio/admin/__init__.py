"""HTTP beside the server, for those who run it: health, metrics, an API, events, and a page.

Needs the extra ``admin``, but for :mod:`~tcpecho_trio.admin.endpoint`.
"""
