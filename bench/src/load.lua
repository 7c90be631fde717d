-- What wrk sends: `wrk … -s load.lua URL -- KIND PEOPLE [FIRST]`.
-- KIND is get or put (of a person drawn at random), fill (a put of one person after the other, from number FIRST
-- on) or health. People are numbered from 0; the number, in eight digits, is the name, with letters for digits.

local parts = {}
for number = 0, 9999 do
    parts[number] = string.format("%04d", number):gsub("%d", function(digit)
        return string.char(string.byte("a") + digit)
    end)
end

local head, tail, people, number, fixed

local function named(of)
    return head .. parts[math.floor(of / 10000)] .. parts[of % 10000] .. tail
end

function init(arguments)
    local kind = arguments[1]
    people = tonumber(arguments[2])
    number = tonumber(arguments[3] or 0) % people
    math.randomseed(os.time())
    local body, method
    if kind == "put" or kind == "fill" then
        method, body = "PUT", '{"dateOfBirth":"1988-02-29"}'
        wrk.headers["content-type"] = "application/json"
    end
    local path = kind == "health" and "/health" or "/hello/NAME"
    local request = wrk.format(method or "GET", path, nil, body)
    if kind == "health" then
        fixed = request
    else
        head, tail = request:match("^(.-)NAME(.*)$")
    end
    if kind == "fill" then
        function wrk.next()
            local of = number
            number = (number + 1) % people
            return of
        end
    else
        function wrk.next()
            return math.random(0, people - 1)
        end
    end
end

function request()
    return fixed or named(wrk.next())
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'SUMMARY {"requests":%d,"seconds":%f,"errors":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
