"""What an open port has to live through, against the real server process.

Unless a test says otherwise, only the hostile connection suffers, and afterwards a fresh client
gets its answer within a second, what was logged is escaped, and the process has said nothing on
stderr: the fixture `server` sees to that after every test.
"""
