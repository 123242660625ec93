-- Stored uploads that everybody may see: their list as HTML, and the answer that sends one of them.
local httpd = require 'httpd'
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local page = dofile(folder .. "page.lua")
local store = dofile(folder .. "store.lua")

local shelf = {store = store}

function shelf.readable_size(bytes)
    if bytes < 1024 then
        return bytes .. " B"
    end
    local unit = bytes < 1048576 and 1024 or 1048576
    local number = string.format("%.1f", bytes / unit):gsub("%.0$", "")
    return number .. (unit == 1024 and " KiB" or " MiB")
end

-- The address of a stored file; the script that uses this module serves /file with shelf.send.
function shelf.link(env, entry)
    return page.link(env, "/file?id=" .. entry.id)
end

-- The entries as a list; everything a stranger has chosen is escaped.
function shelf.list(env, entries)
    if #entries == 0 then
        return '<p class="soft">Nothing yet.</p>'
    end
    local items = {'<ul class="files">\n'}
    for _, entry in ipairs(entries) do
        items[#items + 1] = table.concat {
            '<li><a href="', page.escape(shelf.link(env, entry)), '">', page.escape(entry.name), '</a> ',
            '<span class="soft" title="', tostring(entry.size), ' bytes">', shelf.readable_size(entry.size), ', ',
            os.date("!%d %b %H:%M UTC", math.floor(entry.time)), '</span><div class="mono soft">', entry.sha256, '</div></li>\n',
        }
    end
    items[#items + 1] = '</ul>'
    return table.concat(items)
end

-- A handler: sends the file whose id is in the query, to be saved and never shown.
function shelf.send(env)
    local query = httpd.query(env) or {}
    local entry, opened = store.find(type(query.id) == "string" and query.id or "")
    if entry == nil then
        page.text("404", "There is no such upload\n")
        return
    end
    local file <close> = opened
    page.head("200", "application/octet-stream", {
        ["content-length"] = entry.size,
        ["content-disposition"] = "attachment; filename*=UTF-8''" .. httpd.encode("url", entry.name),
    })
    httpd.copy(nil, file)
end

return shelf
