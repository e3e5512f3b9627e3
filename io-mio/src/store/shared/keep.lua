-- Comes before every other script here. Their keys are one operation's: what is known of it, its
-- frames, the frames' lengths, and its words.
local about, frames, lengths, words = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- As many digits as it has, and never an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- Lets no key of the operation live shorter than `ms` from now. What the operation has at all has
-- an end in time, whatever becomes of its nodes.
local function keep(ms)
  for _, name in ipairs(KEYS) do
    local left = redis.call('PTTL', name)
    if left ~= -2 and left < ms then
      redis.call('PEXPIRE', name, digits(ms))
    end
  end
end
