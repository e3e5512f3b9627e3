local word, max_words, max_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local unread = redis.call('HGET', about, 'unread')
if not unread then
  return {'UNKNOWN'}
end
if redis.call('XLEN', words) >= max_words or tonumber(unread) >= max_bytes then
  return {'FULL'}
end
local number = redis.call('HINCRBY', about, 'said', 1)
redis.call('HINCRBY', about, 'unread', #word)
redis.call('XADD', words, digits(number) .. '-0', 'word', word)
keep(redis.call('PTTL', about))
return {'OK'}
