local terminal = ARGV[1]

local known = redis.call('HMGET', about, 'last', 'terminal')
if not known[1] then
  return {'UNKNOWN'}
end
if known[2] then
  return {'FINISHED'}
end
redis.call('HSET', about, 'terminal', terminal)
-- Wakes those who wait for a frame.
redis.call('XADD', frames, digits(tonumber(known[1]) + 1) .. '-0', 'terminal', '')
keep(redis.call('PTTL', about))
return {'OK'}
