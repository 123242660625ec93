-- require along several templates in a tree as LuaRocks lays it out: the test makes `rocks/` and `more/` in the working folder
local function first_line(message) return (tostring(message):match '[^\n]*') end

show(require 'single')
show(require 'single')
show(package.loaded.single)
show(require 'pack', require 'pack.sub', require 'pack.deep.er')
show(require 'pack.init', package.loaded.pack == package.loaded['pack.init'])
show(require 'only_more', require 'sub.flat')
show((package.searchpath('pack.deep.er', package.path)))
print(first_line(select(2, package.searchpath('pack', './?.none;./x'))), package.searchpath('a-b.c', 'more/?.none', '-', '+'))
print(package.config)
show(package.searchpath('single', package.path, '', ''), package.searchpath('pack/deep/er', package.path))

for _ = 1, 2 do
    show(pcall(require, 'broken'))
    show(pcall(require, 'raises'))
    show(pcall(require, 'raises_table'))
    print(first_line(select(2, pcall(require, 'not.there'))))
end
show(package.loaded.broken, package.loaded.raises)
show(require 'gives_nothing', package.loaded.gives_nothing)
show(require 'gives_false', package.loaded.gives_false)
show(require 'gives_false')
show(require 'sets_loaded')
show(require 'shebang')

-- circles: through package.loaded they end
show(require('circle_a').name, require('circle_a').b.a == require('circle_a'))
show(pcall(require, 'self_once'))

-- a module that reads and writes files while it is loaded, in a coroutine as well
show(require 'loads')
package.loaded.loads = nil
show(coroutine.wrap(function() return require 'loads' end)())
show(coroutine.wrap(function() coroutine.yield(1) end)())

-- a module that changes on the disk
local name = 'more/changes.lua'
for version = 1, 2 do
    local file = io.open(name, 'w')
    file:write('return { version = ', version, ' }')
    file:close()
    show(require('changes').version)
    package.loaded.changes = nil
    show(require('changes').version)
end
os.remove(name)
show(require('changes').version)
package.loaded.changes = nil
show(pcall(require, 'changes') == false)

-- own searchers, preload, odd paths
package.preload.made = function(...) return { ... } end
show(require 'made')
table.insert(package.searchers, 2, function(wanted)
    if wanted == 'virtual' then return load('return { code = ..., by = "searcher" }', '=virtual'), 'extra' end
    return '\n\tno virtual ' .. wanted
end)
show(require 'virtual')
print((select(2, pcall(require, 'nothing')):match 'no virtual nothing'))
table.remove(package.searchers, 2)
local path = package.path
package.path = 'more/?.lua;;./?.none'
show(pcall(require, 'single') == false or 'loaded', pcall(require, 'only_more'))
package.loaded.single = nil
print(((select(2, pcall(require, 'single'))):gsub('\n\t?no module[^\n]*', ''):gsub("\n\tno file '[^']*%.so'", '')))
package.path = 5 .. ''
show(pcall(require, 'single') == false)
package.path = path
for _, wrong in ipairs { {}, true, print } do show(pcall(require, wrong)) end
show(pcall(require))
show(pcall(package.searchpath, 'x'))
show(pcall(package.searchpath, {}, 'x'))
show(require(5))
package.loaded['5'], package.loaded.made, package.loaded.virtual, package.preload.made = nil, nil, nil, nil

-- load with an environment, dofile and loadfile of files of the tree
local place = package.searchpath('environment', package.path)
local env = { tostring = tostring }
show(loadfile(place, 't', env)('a', 2), env)
show(pcall(loadfile(place, 't', {})))
show(dofile(place), rawget(_G, 'set_by_chunk'))
set_by_chunk = nil
show(loadfile('rocks/none.lua'))
show(loadfile(package.searchpath('broken', package.path)))
show(pcall(dofile, 'rocks/none.lua'))
show(load('return ...', 'chunk', 't', {})(1, 2), load('x =', '=name'), load('x =', '@file.lua'), load('x =', 'first line\nsecond'))
show(debug.getinfo(require('pack').where, 'S').short_src, debug.getinfo(require('pack').where, 'S').source)
show(require('pack').traceback())
