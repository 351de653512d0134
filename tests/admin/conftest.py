"""What these tests share."""

from tests.admin.several import server as server
