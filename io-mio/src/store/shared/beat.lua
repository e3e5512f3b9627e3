local worked_until, ms = ARGV[1], tonumber(ARGV[2])

if redis.call('EXISTS', about) == 0 then
  return {'UNKNOWN'}
end
redis.call('HSET', about, 'worked', worked_until)
keep(ms)
return {'OK'}
