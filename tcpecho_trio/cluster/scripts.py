"""What is asked of Redis, each thing in one round trip and at once (EVALSHA, EVAL; Lua 5.1).

Keys, after the cluster's prefix:

====================== ====== ===============================================================
``:members``           set    the instances' ids
``:member:<id>``       string one server's record, with an expiry
``:clients:<id>``      string its list of clients, with the same expiry
``:command:<id>``      string a command that it has not taken yet, with an expiry
====================== ====== ===============================================================

All time is Redis's: expiry, and what ``TIME`` says. A script stays a bound in work and in what it
returns, whatever stands under the keys: ids and texts are cut, their number is limited, and an
error of one command is an answer like any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the digest by which Redis knows it once it has run (EVALSHA)."""

    text: str

    @property
    def digest(self) -> str:
        """SHA-1 in hexadecimal."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


READ_MEMBERS = """
local function members(prefix, most, longest_id, longest_record, longest_life)
  local found = {}
  local ids = redis.pcall('SRANDMEMBER', prefix .. ':members', most + 1)
  if ids.err then return found, 2, ids.err end
  for _, id in ipairs(ids) do
    local record, left = '', -2
    if #id <= longest_id then
      record = redis.pcall('GETRANGE', prefix .. ':member:' .. id, 0, longest_record)
      left = redis.pcall('PTTL', prefix .. ':member:' .. id)
    end
    if record == '' then
      redis.pcall('SREM', prefix .. ':members', id)
    elseif type(record) == 'string' and left > 0 and left <= longest_life then
      found[#found + 1] = id
      found[#found + 1] = record
    end
  end
  return found, #ids > most and 1 or 0, nil
end
"""
"""Who there is. What has no expiry, or one that no server sets, is no
server's record. The second number is 1 if there are more than were read, 2 if nothing could be."""

READ = Script(
    READ_MEMBERS
    + """
local found, partial, trouble = members(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]),
  tonumber(ARGV[4]), tonumber(ARGV[5]))
return {redis.call('TIME'), trouble or '', partial, found}
"""
)
"""ARGV: prefix, members at most, bytes of an id, of a record, milliseconds of an expiry."""

BEAT = Script(
    READ_MEMBERS
    + """
local prefix, id, life, record, clients = ARGV[1], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local trouble
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    trouble = trouble or answer.err
    return 0
  end
  return answer
end
local kept = 1
if record == '' then
  kept = try('PEXPIRE', prefix .. ':member:' .. id, life)
else
  try('SET', prefix .. ':member:' .. id, record, 'PX', life)
end
if clients == '' then
  if try('PEXPIRE', prefix .. ':clients:' .. id, life) == 0 then kept = 0 end
else
  try('SET', prefix .. ':clients:' .. id, clients, 'PX', life)
end
if redis.pcall('SISMEMBER', prefix .. ':members', id) ~= 1 then
  try('SADD', prefix .. ':members', id)
end
local command = redis.pcall('GETRANGE', prefix .. ':command:' .. id, 0, tonumber(ARGV[10]))
if command ~= '' then redis.pcall('DEL', prefix .. ':command:' .. id) end
if type(command) ~= 'string' then command = '' end
local found, partial, problem = {}, 0, nil
if ARGV[11] == '1' then
  found, partial, problem = members(prefix, tonumber(ARGV[2]), tonumber(ARGV[3]),
    tonumber(ARGV[4]), tonumber(ARGV[5]))
end
return {redis.call('TIME'), trouble or problem or '', partial, found, kept, command}
"""
)
"""We are there, and this is what is new with us: a heartbeat.

ARGV, after those of READ: our id, milliseconds until our keys expire, our record and our list of
clients or '' for what has not changed, bytes of a command, 1 to read the others too. A heartbeat
that changes nothing works in a Redis that is full, too: PEXPIRE needs no memory."""

LEAVE = Script("""
for _, kind in ipairs({':member:', ':clients:', ':command:'}) do
  redis.pcall('DEL', ARGV[1] .. kind .. ARGV[2])
end
redis.pcall('SREM', ARGV[1] .. ':members', ARGV[2])
return 1
""")
"""ARGV: prefix, our id."""

LISTS = Script("""
local lists = {}
for place = 3, #ARGV do
  local list = redis.pcall('GETRANGE', ARGV[1] .. ':clients:' .. ARGV[place], 0, tonumber(ARGV[2]))
  lists[#lists + 1] = type(list) == 'string' and list or ''
end
return lists
""")
"""ARGV: prefix, bytes of a list, ids."""

ORDER = Script("""
if redis.call('EXISTS', ARGV[1] .. ':member:' .. ARGV[2]) == 0 then return 0 end
redis.call('SET', ARGV[1] .. ':command:' .. ARGV[2], ARGV[3], 'PX', ARGV[4])
return 1
""")
"""ARGV: prefix, an instance's id, a command, milliseconds until it expires."""
