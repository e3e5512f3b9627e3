local after = ARGV[1]

if redis.call('EXISTS', about) == 0 then
  return {'UNKNOWN'}
end
for _, entry in ipairs(redis.call('XRANGE', words, '-', after .. '-0')) do
  redis.call('HINCRBY', about, 'unread', -#entry[2][2])
  redis.call('XDEL', words, entry[1])
end
local found = {'OK'}
for _, entry in ipairs(redis.call('XRANGE', words, '-', '+')) do
  found[#found + 1] = string.match(entry[1], '^%d+')
  found[#found + 1] = entry[2][2]
end
return found
