local token_prefix = ARGV[1]

local known = redis.call('HMGET', about, 'token', 'token_before')
for position = 1, 2 do
  if known[position] then
    redis.call('DEL', token_prefix .. known[position])
  end
end
redis.call('DEL', about, frames, lengths, words)
return {'OK'}
