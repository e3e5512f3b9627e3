local seq, payload = tonumber(ARGV[1]), ARGV[2]

local known = redis.call('HMGET', about, 'first', 'last', 'bytes', 'max_bytes', 'max_frames',
  'terminal')
if not known[1] then
  return {'UNKNOWN'}
end
if known[6] then
  return {'FINISHED'}
end
local first, last, bytes = tonumber(known[1]), tonumber(known[2]), tonumber(known[3])
local max_bytes, max_frames = tonumber(known[4]), tonumber(known[5])
if seq ~= last + 1 then
  return {'ORDER', digits(last + 1)}
end
if #payload > max_bytes or max_frames < 1 then
  return {'LARGE', digits(#payload), known[4]}
end

redis.call('XADD', frames, digits(seq) .. '-0', 'frame', payload)
redis.call('RPUSH', lengths, #payload)
bytes = bytes + #payload
local oldest = first
while bytes > max_bytes or seq - oldest + 1 > max_frames do
  bytes = bytes - tonumber(redis.call('LPOP', lengths))
  oldest = oldest + 1
end
if oldest > first then
  redis.call('XTRIM', frames, 'MINID', digits(oldest) .. '-0')
end
redis.call('HSET', about, 'first', digits(oldest), 'last', digits(seq), 'bytes', digits(bytes))
keep(redis.call('PTTL', about))
return {'OK'}
