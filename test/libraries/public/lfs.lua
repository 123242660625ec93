-- LuaFileSystem: the C library in lua5.4, the module of the package in the gateway
local lfs = require 'lfs'
local home = folder .. '/lfs'

show(lfs.mkdir(home))
io.open(home .. '/file', 'w'):write('hello'):close()
for _, name in ipairs { home, folder .. '/no/such' } do show(lfs.mkdir(name)) end
for _, name in ipairs { home, home .. '/file', home .. '/none', home .. '/file/x' } do show(lfs.rmdir(name)) end
for _, name in ipairs { home .. '/none', home .. '/file/x', ('x'):rep(300), '' } do
    show(lfs.attributes(name))
    show(lfs.attributes(name, 'mode'))
    show(lfs.symlinkattributes(name))
end
for _, what in ipairs { 'mode', 'size', 'permissions', 'nlink' } do show(what, lfs.attributes(home .. '/file', what)) end
show(lfs.attributes(home, 'mode'), lfs.attributes('/dev/null', 'mode'), lfs.symlinkattributes(home .. '/file', 'mode'))
local found = lfs.attributes(home .. '/file')
for _, what in ipairs { 'access', 'modification', 'change', 'dev', 'ino', 'uid', 'gid', 'nlink', 'size' } do show(what, math.type(found[what])) end
local own = { kept = 1 }
show(lfs.attributes(home .. '/file', own) == own, own.kept, own.size, own.mode)
os.execute('ln -s file ' .. home .. '/link; ln -s nowhere ' .. home .. '/broken; mkfifo ' .. home .. '/fifo; chmod 4751 ' .. home .. '/file')
show(lfs.symlinkattributes(home .. '/link', 'mode'), lfs.attributes(home .. '/link', 'mode'), lfs.attributes(home .. '/fifo', 'mode'))
show(lfs.attributes(home .. '/broken', 'mode'))
show(lfs.symlinkattributes(home .. '/broken', 'mode'), lfs.attributes(home .. '/file', 'permissions'))
show(lfs.rmdir(home .. '/link'))
try(lfs.attributes, home, 'colour')
try(lfs.attributes)
try(lfs.attributes, {})
try(lfs.mkdir, {})
try(lfs.dir)
try(lfs.dir, home .. '/none')
try(lfs.dir, home .. '/file')
try(function() local facts = lfs.attributes(home, 'colour') return facts end)
try(function() for _ in lfs.dir(home .. '/none') do break end end)

show(lfs.touch(home .. '/file', 100, 200), lfs.attributes(home .. '/file', 'access'), lfs.attributes(home .. '/file', 'modification'))
show(lfs.touch(home .. '/file', 300), lfs.attributes(home .. '/file', 'access'), lfs.attributes(home .. '/file', 'modification'))
show(lfs.touch(home .. '/file'), os.time() - lfs.attributes(home .. '/file', 'modification') < 100)
show(lfs.touch(home .. '/none'))

local function names(...)
    local list = {}
    for name in ... do list[#list + 1] = name end
    table.sort(list)
    return list
end
show(names(lfs.dir(home)))
local iterate, directory = lfs.dir(home)
show(type(iterate(directory)), directory:close())
try(iterate, directory)
try(directory.next, directory)
iterate, directory = lfs.dir(home)
while directory:next() do end
try(iterate, directory)
try(directory.close, directory)
show(select('#', lfs.dir(home)))
for name in lfs.dir(home) do if name == '..' then break end end
for name in lfs.dir(home) do if name ~= '.' and name ~= '..' then show(os.remove(home .. '/' .. name)) end end
show(names(lfs.dir(home)))
show(lfs.rmdir(home), lfs.attributes(home))
show(lfs.currentdir():sub(1, 1), lfs.attributes(lfs.currentdir() .. '/' .. folder, 'mode'), lfs.setmode(io.stdout, 'binary'))
