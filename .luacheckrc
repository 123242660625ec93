-- What luacheck (Debian package lua-check) holds the Lua code of the repository to; npm run lint runs it.
std = "lua54"
max_line_length = 140
-- pages with styles and scripts stand in long strings
max_string_line_length = false
exclude_files = { "handlers/data" }

-- The functions that the gateway gives scripts for luars (src/script/luars.lua).
local luars = {
    globals = { "handle_request" },
    read_globals = { "time", "env", "sleep", "log", "read_file", "write_file", "http_get" },
    -- luars calls a script with a fixed list of arguments
    unused_args = false,
}

files["examples/luars"] = luars
files["bench/templates/luars.lua"] = luars
files["bench/templates/luvit.lua"] = { unused_args = false }
-- scripts for lhttpd keep the module in a global variable
files["examples/lhttpd"] = { globals = { "httpd" } }
files["bench/templates/haproxy.lua"] = { read_globals = { "core" } }
files["bench/templates/lighttpd.lua"] = { globals = { "lighty" } }
files["bench/templates/apache.lua"] = { globals = { "handle" }, read_globals = { "apache2" } }
