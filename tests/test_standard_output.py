import os
import threading
from io import FileIO

from tcpecho_trio.standard_output import write_all


def test_a_descriptor_that_somebody_made_non_blocking_gets_every_byte() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = bytes(range(256)) * 4000  # far more than a pipe holds

    def write() -> None:
        write_all(writing, data)
        os.close(writing)

    with FileIO(reading) as reader:
        writer = threading.Thread(target=write)
        writer.start()
        assert reader.readall() == data
        writer.join()
