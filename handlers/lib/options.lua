-- Reads the options of the libraries of this folder: what a library does not take is an error at the line of the script.
local options = {}

-- The line of the script: the function here, that of the library, the script.
local SCRIPT = 3

-- A copy of the table of options with what `defaults` has. `kinds` has the types that each option may have, with blanks between.
function options.read(library, given, kinds, defaults)
    if type(given) ~= 'table' then
        error(library .. ' needs a table of options, got ' .. type(given), SCRIPT)
    end
    local read = {}
    for name, value in pairs(defaults) do
        read[name] = value
    end
    for name, value in pairs(given) do
        local kind = kinds[name]
        if kind == nil then
            error(library .. ' has no option "' .. tostring(name) .. '"', SCRIPT)
        end
        if not (' ' .. kind .. ' '):find(' ' .. type(value) .. ' ', 1, true) then
            error('option "' .. name .. '" of ' .. library .. ' has to be a ' .. kind:gsub(' ', ' or ') .. ', got ' .. type(value), SCRIPT)
        end
        read[name] = value
    end
    return read
end

function options.check(condition, message)
    if not condition then
        error(message, SCRIPT)
    end
end

-- Ports that browsers leave out of an origin.
local DEFAULT_PORTS = {http = '80', https = '443'}

-- True for an origin as browsers write it (RFC 6454 §6.2): one that they would write otherwise never matches.
local function is_origin(text)
    if type(text) ~= 'string' or text:find('[^\33-\126]') then
        return false
    end
    local scheme, host = text:match('^(%l[%l%d+.-]*)://([^/?#@%u]+)$')
    local port = host and host:match(':(%d+)$')
    return scheme ~= nil and (port == nil or port ~= DEFAULT_PORTS[scheme])
end

-- The origins of a list as a set; nil and a message where one is written as no browser writes it.
function options.read_origins(list, has_null)
    local set = {}
    for _, origin in ipairs(list) do
        if not is_origin(origin) and not (has_null and origin == 'null') then
            return nil, 'option "origins" lists origins as browsers write them ("https://app.example"), got "' .. tostring(origin) .. '"'
        end
        set[origin] = true
    end
    return set
end

return options
