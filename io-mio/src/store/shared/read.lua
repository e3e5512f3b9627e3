local from, max_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])

local known = redis.call('HMGET', about, 'first', 'last', 'worked', 'terminal')
if not known[1] then
  return {'UNKNOWN'}
end
local first, last = tonumber(known[1]), tonumber(known[2])
if from < first then
  return {'EVICTED', known[1]}
end

local found = {'OK', known[3], ''}
local to = from - 1
if from <= last then
  -- At most 1024 frames at a time, however short they are.
  local sizes = redis.call('LRANGE', lengths, digits(from - first), digits(from - first + 1023))
  local bytes = 0
  for _, size in ipairs(sizes) do
    bytes = bytes + tonumber(size)
    if bytes > max_bytes and to >= from then
      break
    end
    to = to + 1
  end
  local entries = redis.call('XRANGE', frames, digits(from) .. '-0', digits(to) .. '-0')
  if #entries ~= to - from + 1 then
    return {'LOST'}
  end
  for _, entry in ipairs(entries) do
    found[#found + 1] = entry[2][2]
  end
end
if to >= last and known[4] then
  found[3] = known[4]
end
return found
