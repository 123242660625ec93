-- Penlight on the disk: path, dir, file, utils, config, data, input, stringio, template, Date, app, compat, and lfs below them
local path = require 'pl.path'
local dir = require 'pl.dir'
local file = require 'pl.file'
local utils = require 'pl.utils'
local home = folder .. '/pl'

-- names
for _, name in ipairs { 'a/b/c.txt', '/x', 'x', '', 'a/b/', '/a/../b', './a//b/./c', 'c.tar.gz', '.hidden', 'a.b/c', '~/x' } do
    show(name, path.splitpath(name))
    show(path.splitext(name))
    try(function() return path.normpath(name), path.basename(name), path.dirname(name), path.extension(name), path.isabs(name) end)
end
show(path.join('a', 'b', '/c'), path.join('a', ''), path.join('', 'x'), path.join('a/', 'b'), path.common_prefix('a/b/c', 'a/b/d'))
show(path.normcase('A/B'), path.sep, path.dirsep, path.is_windows)
show(path.relpath('/a/b/c', '/a/d'), path.relpath('/a', '/a/b/c'), path.relpath('/a/b', '/a/b'))
show(path.abspath('x', '/base'), path.abspath('../x', '/base/y'), path.abspath('/abs'), path.abspath('x') == path.join(path.currentdir(), 'x'))
show(path.isabs(path.currentdir()), path.isdir(path.currentdir()), path.relpath(path.abspath('x')))
try(path.join, 1, {})
try(path.splitext, nil)
try(path.isdir, nil)

-- folders and files
show(path.mkdir(home), path.isdir(home), path.exists(home), path.isfile(home))
show(path.mkdir(home))
show(path.mkdir(folder .. '/no/such'))
show(dir.makepath(home .. '/deep/er/est'), path.isdir(home .. '/deep/er/est'))
show(file.write(home .. '/one.txt', 'first\nsecond\n'), file.write(home .. '/two.lua', 'return 2'), file.write(home .. '/deep/er/three.txt', '3'))
show(file.read(home .. '/one.txt'), utils.readlines(home .. '/one.txt'), path.getsize(home .. '/one.txt'))
show(file.read(home .. '/missing'))
show(file.write(folder .. '/no/such', 'x'))
show(utils.readlines(home .. '/missing'))
show(path.getsize(home .. '/missing'))
show(path.getmtime(home .. '/missing'))
show(type(path.getmtime(home .. '/one.txt')), math.type(path.getatime(home .. '/one.txt')), type(path.getctime(home .. '/one.txt')))
local function sorted(list, ...)
    if type(list) ~= 'table' then return list, ... end
    table.sort(list)
    return list
end
show(sorted(dir.getfiles(home)))
show(sorted(dir.getfiles(home, '*.txt')))
show(sorted(dir.getdirectories(home)))
show(sorted(dir.getallfiles(home)))
show(sorted(dir.getallfiles(home, '*.txt')))
show(dir.fnmatch('name.txt', '*.t?t'), dir.fnmatch('name.txt', '*.lua'), dir.filter({ 'a.c', 'b.h', 'c.c' }, '*.c'))
try(dir.getfiles, home .. '/missing')
try(dir.getfiles, home .. '/one.txt')
for root, folders, names in dir.walk(home) do show(root, sorted(folders), sorted(names)) end
local lines = {}
for root, folders, names in dir.walk(home, true) do lines[#lines + 1] = ('%s %d %d'):format(root, #folders, #names) end
show(sorted(lines))
lines = {}
for name, is_folder in dir.dirtree(home) do lines[#lines + 1] = name .. ' ' .. tostring(is_folder) end
show(sorted(lines))
show(dir.copyfile(home .. '/one.txt', home .. '/copy.txt'), file.read(home .. '/copy.txt'))
show(dir.movefile(home .. '/copy.txt', home .. '/moved.txt'), path.exists(home .. '/copy.txt'), path.exists(home .. '/moved.txt'))
show((dir.copyfile(home .. '/missing', home .. '/x')))
show(file.copy(home .. '/one.txt', home .. '/again.txt'), file.move(home .. '/again.txt', home .. '/deep/again.txt'))
show(file.delete(home .. '/deep/again.txt'))
show(file.delete(home .. '/deep/again.txt'))
show(dir.clonetree(home, folder .. '/clone', dir.copyfile))
lines = dir.getallfiles(folder .. '/clone')
show(sorted(lines))
show(dir.rmtree(folder .. '/clone'), path.exists(folder .. '/clone'))
try(dir.rmtree, folder .. '/clone')
show(path.rmdir(home))
show(path.rmdir(home .. '/missing'))
show((path.chdir(home .. '/missing')))
show(path.islink(home), path.attrib(home, 'mode'), path.attrib(home .. '/one.txt', 'permissions'))
show(path.attrib(home .. '/missing', 'mode'))
show(path.link_attrib(home .. '/missing'))

-- programs, and names for their output
show(utils.execute('exit 3'))
show(utils.execute('true'))
show(utils.executeex('(echo out; echo err >&2; exit 2)'))
show(utils.quote_arg { 'plain', "it's", 'two words', '', '$x' })
show(utils.executeex('printf %s ' .. utils.quote_arg "it's $x"))
local name = path.tmpname()
show(type(name), path.exists(name) == name, os.remove(name))
show(utils.is_windows, utils.dir_separator, #utils.pack(1, nil, 3, nil), utils.pack(1, nil).n)

-- data from files
local config = require 'pl.config'
local stringio = require 'pl.stringio'
for _, text in ipairs {
    '; an ini file\n[section!]\nbonzo.dog=20,30\nparm=here we go again\ndepth = 2\n[another]\nfelix="cat"\n',
    '# unix\nfred = 1\nalice = 2\nhome = /bonzo/dog/etc\n', '# values\n1000,444,222\n44,555,224\n', 'a:1\nb:two three\nc:\n', 'odd line\n\n',
} do
    show(config.read(stringio.open(text)))
    file.write(home .. '/config', text)
    show(config.read(home .. '/config', { smart = true, ignore_assign = true }))
end
show(config.read(home .. '/missing'))
show(config.read(stringio.open('a=1;b=2\n'), { keysep = '%s*=%s*', list_delim = ';', convert_numbers = false }))

local data = require 'pl.data'
file.write(home .. '/table', 'name,age,town\nana,31,Rome\nbob,24,"New York"\ncleo,55,Oslo\n')
local people = data.read(home .. '/table')
show(people.fieldnames, #people, people[2], people:column_by_name('age'))
for who, age in people:select 'name,age where age > 30 sort by age' do show(who, age) end
for _, row in ipairs(people:select_row('town where name == "bob"') and { 1 } or {}) do show(row) end
try(people.select, people, 'nothing where')
show(data.read(home .. '/missing'))
show(data.read(stringio.open('1;2\n3;4\n'), { delim = ';', fieldnames = { 'a', 'b' } }))
local out = stringio.create()
data.write(people, out)
show(out:value())
show(data.new({ { 1, 2 }, { 3, 4 } }, { 'x', 'y' }):column_by_name('y'))

local input = require 'pl.input'
file.write(home .. '/numbers', '1 2.5 -3\n4e2 0x10\n')
local numbers = {}
for n in input.numbers(io.open(home .. '/numbers')) do numbers[#numbers + 1] = n end
show(numbers)
for a, c in input.fields({ 1, 3 }, ',', '7,1,2\n8,3,4\n') do show(a, c) end
for word in input.words 'some words, here' do show(word) end
try(input.numbers, {})
local reader = stringio.open('line one\nline two\n42 rest')
show(reader:read(), reader:read('*l'), reader:read(2), reader:read('*a'), reader:read('*l'))
show(reader:seek('set', 5), reader:read(3), reader:seek('end'), reader:read(0))
for text in stringio.lines('a\nb\n') do show(text) end
local writer = stringio.create()
writer:write('a', 1, '\n')
writer:writef('%5.2f|', 3.14159)
show(writer:value(), writer:seek())

-- modules
local compat = require 'pl.compat'
show(compat.lua51, compat.jit, compat.dir_separator, compat.is_windows, compat.load == load, package.config)
local env = { value = 'own' }
local function reads() return value end
show(compat.setfenv(reads, env) == reads, reads(), compat.getfenv(reads) == env)
show(compat.getfenv(load('return 1')) ~= nil, package.searchpath('pl.path', package.path) ~= nil)
file.write(home .. '/own_module.lua', 'local name, place = ... return { name = name, place = place, file = debug.getinfo(1, "S").source }')
package.path = home .. '/?.lua;' .. package.path
show(require 'own_module')
package.loaded.own_module = nil
package.path = package.path:sub(#home + 8)
local app = require 'pl.app'
show(app.platform() == 'Linux', app.parse_args({ '-v', '--name=x', 'rest', '-k', 'more', '--', 'y' }, { 'k' }))
show(app.parse_args({ '-abc', '-n5', '--bad' }, { n = true }, { a = 'all', b = 'b', c = 'c', n = 'number' }))
local import = require 'pl.import_into' ()
show(type(import.List), type(import.stringx.split), import.utils == utils)
show(require 'pl', type(tablex.map), type(stringx))
setmetatable(_G, nil)
dir.rmtree(home)
show(path.exists(home))
