-- Its only key is the token's; the operation's name is in it.
local operation_prefix, token_prefix = ARGV[1], ARGV[2]
local anybody, owner = ARGV[3] == '1', ARGV[4]
local last_recv, now = tonumber(ARGV[5]), tonumber(ARGV[6])

local token = redis.call('HMGET', KEYS[1], 'operation', 'owner', 'expires')
if not token[1] or not (anybody or token[2] == owner) then
  return {'INVALID'}
end
if now > tonumber(token[3]) then
  return {'EXPIRED'}
end
local operation = operation_prefix .. token[1]
local known = redis.call('HMGET', operation, 'first', 'last', 'record', 'token', 'token_before')
if not known[1] or last_recv > tonumber(known[2]) then
  return {'INVALID'}
end
if last_recv + 1 < tonumber(known[1]) then
  return {'UNAVAILABLE'}
end
for position = 4, 5 do
  if known[position] then
    redis.call('DEL', token_prefix .. known[position])
  end
end
redis.call('HDEL', operation, 'token', 'token_before')
return {'OK', token[1], known[3]}
