local record, owner, max_bytes, max_frames = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local worked_until, ms = ARGV[5], tonumber(ARGV[6])

if redis.call('EXISTS', about) == 1 then
  return {'EXISTS'}
end
redis.call('DEL', frames, lengths, words)
redis.call('HSET', about, 'record', record, 'owner', owner, 'max_bytes', max_bytes,
  'max_frames', max_frames, 'first', 1, 'last', 0, 'bytes', 0, 'said', 0, 'unread', 0,
  'worked', worked_until)
keep(ms)
return {'OK'}
