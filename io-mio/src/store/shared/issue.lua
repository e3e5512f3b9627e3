local token_prefix, operation, token, expires = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ms, buried = tonumber(ARGV[5]), ARGV[6]

local known = redis.call('HMGET', about, 'owner', 'token', 'token_before')
if not known[1] then
  return {'UNKNOWN'}
end
-- Of the tokens before, the last one stays good.
if known[3] then
  redis.call('DEL', token_prefix .. known[3])
end
if known[2] then
  redis.call('HSET', about, 'token_before', known[2])
end
redis.call('HSET', about, 'token', token)
redis.call('HSET', token_prefix .. token, 'operation', operation, 'owner', known[1],
  'expires', expires)
redis.call('PEXPIRE', token_prefix .. token, buried)
keep(ms)
return {'OK'}
