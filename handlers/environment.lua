-- Lists what a handler is told about its request: the environment, and the fields of the head.
-- curl --cacert certs/development/certificate.pem https://localhost:8443/environment
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "lib/page.lua")

local function sorted_names(list)
    local names = {}
    for name in pairs(list) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

local function as_text(list)
    local lines = {}
    for _, name in ipairs(sorted_names(list)) do
        lines[#lines + 1] = name .. ": " .. list[name] .. "\n"
    end
    return table.concat(lines)
end

local function as_table(title, list)
    local parts = {'<section class="sheet"><h2>', title, '</h2>\n<div class="scroll"><table class="pairs">\n'}
    for _, name in ipairs(sorted_names(list)) do
        parts[#parts + 1] = '<tr><td class="mono name">' .. page.escape(name) .. '</td><td class="mono">'
            .. page.escape(list[name]) .. '</td></tr>\n'
    end
    parts[#parts + 1] = '</table></div></section>\n'
    return table.concat(parts)
end

httpd.register_handler("/", function(env, header)
    if not page.wants_html(header) then
        page.text("200", "Environment\n\n" .. as_text(env) .. "\nHead\n\n" .. as_text(header))
        return
    end
    page.inner("Environment",
        'A handler is a function of two tables, <code>env</code> and <code>header</code>. '
        .. 'These are the ones of your request; values are strings and integers.',
        as_table("env", env) .. as_table("header", header))
end)
