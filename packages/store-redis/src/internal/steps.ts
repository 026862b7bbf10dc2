// The four steps of a store as one Lua script. Redis runs a script as a single step, on one key, so a cluster can place
// it. The steps do the same as those of `TokenStore.makeMemory`; a test compares both on random sequences.
//
// A row is a hash. What Redis returns for it was perhaps written by somebody else: a part that is not well-formed counts
// as absent. Nothing is written unless the row changes, so a replica and a full Redis still return a token.
import * as Redis from "effect/persistence/Redis"

/** Returns the script, with the Lua expression for the current time in milliseconds. */
const stepsAt = (now: string) => `
local key, step = KEYS[1], ARGV[1]
local now = ${now}
local rememberedFor = 60000

local function finite(text)
  local value = tonumber(text)
  if value and value == value and value > -math.huge and value < math.huge then return value end
end
local function left(span) return span.length - (now - span.from) end
local function text(value) return string.format('%.17g', value) end

local tokenFields = { 'tv', 'ti', 'tf', 'tl' }
local leaseFields = { 'lo', 'lf', 'll' }
local setbackFields = { 'sv', 'sk', 'sf', 'sl' }

local fields = redis.pcall('HMGET', key, 'tv', 'ti', 'tf', 'tl', 'lo', 'lf', 'll', 'sv', 'sk', 'sf', 'sl')
local isForeign = false
if fields.err then
  if not string.find(fields.err, 'WRONGTYPE', 1, true) then return fields end
  fields, isForeign = {}, true
end

-- What has ended is removed, if this Redis can be written to. What began later than now has ended: the clock was set
-- back, and it would last longer than it was meant to.
local function part(names, first, isWhole, from, length, atLeast)
  local span = { from = finite(from), length = finite(length) }
  if isWhole and span.from and span.length and now >= span.from and left(span) > atLeast then return span end
  for index = first, first + #names - 1 do
    if fields[index] then
      redis.pcall('HDEL', key, unpack(names))
      return nil
    end
  end
end
local token = part(tokenFields, 1, fields[1] and fields[2], fields[3], fields[4], 0)
if token then token.value, token.version = fields[1], fields[2] end
local lease = part(leaseFields, 5, fields[5], fields[6], fields[7], 0)
if lease then lease.owner = fields[5] end
local level = finite(fields[9])
local setback = part(setbackFields, 8, fields[8] and level, fields[10], fields[11], -rememberedFor)
if setback then setback.value, setback.level = fields[8], level end

-- HSET is first: a full Redis rejects it before anything has changed.
local function save()
  local kept, gone = {}, {}
  local function put(names, values)
    for index, name in ipairs(names) do
      if values then
        kept[#kept + 1] = name
        kept[#kept + 1] = values[index]
      else
        gone[#gone + 1] = name
      end
    end
  end
  put(tokenFields, token and { token.value, token.version, text(token.from), text(token.length) })
  put(leaseFields, lease and { lease.owner, text(lease.from), text(lease.length) })
  put(setbackFields, setback and { setback.value, text(setback.level), text(setback.from), text(setback.length) })
  if isForeign or #kept == 0 then redis.call('DEL', key) end
  if #kept == 0 then return end
  redis.call('HSET', key, unpack(kept))
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  local life = math.max(
    token and left(token) or 0,
    lease and left(lease) or 0,
    setback and left(setback) + rememberedFor or 0
  )
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(life)))
end

if step == 'claim' then
  local owner, length, forget, minLeft, minLevel, known = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
  local isForgotten = token and forget == 'known' and token.version == known
  if isForgotten then token = nil end
  local reply
  if token and forget ~= 'any' and token.version ~= known and left(token) >= minLeft then
    reply = { 'Token', token.value, token.version, text(now - token.from), text(left(token)) }
  elseif setback and setback.level >= minLevel and left(setback) > 0 then
    reply = { 'Held', setback.value, text(left(setback)) }
  elseif lease and lease.owner ~= owner then
    reply = { 'Busy', text(left(lease)) }
  else
    reply = { 'Lease', setback and setback.value or nil }
    lease = { owner = owner, from = now, length = length }
    isForgotten = true
  end
  if isForgotten then save() end
  return reply
end

if step == 'publish' then
  local owner, value, age, life = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
  local isOwner = lease and lease.owner == owner
  if isOwner or not token or left(token) < life then
    token = { value = value, version = owner, from = now - age, length = age + life }
  end
  if isOwner then lease = nil end
  if setback and setback.from <= now - age then setback = nil end
  save()
  return {}
end

if step == 'release' then
  local owner, value, length, newLevel = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
  local isChanged = false
  if lease and lease.owner == owner then lease, isChanged = nil, true end
  local isStronger = value and (not setback or left(setback) <= 0 or newLevel > setback.level
    or (newLevel == setback.level and length > left(setback)))
  if isStronger then
    setback, isChanged = { value = value, level = newLevel, from = now, length = length }, true
  end
  if isChanged then save() end
  return {}
end

if token and token.version == ARGV[2] then
  token = nil
  save()
end
return {}
`

/** The time of Redis in milliseconds. */
const redisTime =
  "(function() local time = redis.call('TIME'); return time[1] * 1000 + math.floor(time[2] / 1000) end)()"

export const scriptAt = (now: string) =>
  Redis.script((key: string, ...args: ReadonlyArray<string>) => [key, ...args], {
    lua: stepsAt(now),
    numberOfKeys: 1
  }).withReturnType<unknown>()

export type Steps = ReturnType<typeof scriptAt>

/** Built once, because the Redis service remembers by identity which scripts it has loaded. */
export const steps: Steps = scriptAt(redisTime)
