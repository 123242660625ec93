-- LuaFileSystem's functions on httpd.files, for libraries that require 'lfs'. What would change the whole process is missing or refused.
local files = require('httpd').files

local lfs = { _VERSION = 'LuaFileSystem 1.8.0 (lgateway)' }

local MODES = { file = 'file', directory = 'directory', link = 'link', fifo = 'named pipe', socket = 'socket', device = 'other' }

-- 0750 as 'rwxr-x---'
local function permissions(mode)
    local text = {}
    for shift = 8, 0, -1 do
        local set = mode >> shift & 1 == 1
        text[#text + 1] = set and ('xwr'):sub(shift % 3 + 1, shift % 3 + 1) or '-'
    end
    return table.concat(text)
end

local READERS = {
    dev = function(facts) return facts.dev end,
    ino = function(facts) return facts.ino end,
    mode = function(facts) return MODES[facts.kind] end,
    nlink = function(facts) return facts.links end,
    uid = function(facts) return facts.uid end,
    gid = function(facts) return facts.gid end,
    access = function(facts) return facts.atime // 1 | 0 end,
    modification = function(facts) return facts.mtime // 1 | 0 end,
    change = function(facts) return facts.ctime // 1 | 0 end,
    size = function(facts) return facts.size end,
    permissions = function(facts) return permissions(facts.mode) end,
}

-- lfs gives the number of the error as third value; scripts of lgateway get the code
local function attributes(path, wanted, options)
    local facts, message, code = files.stat(path, options)
    if not facts then return nil, message, code end
    if type(wanted) == 'string' then
        local reader = READERS[wanted]
        if not reader then error(("invalid attribute name '%s'"):format(wanted), 3) end
        return reader(facts)
    end
    local found = type(wanted) == 'table' and wanted or {}
    for name, reader in pairs(READERS) do found[name] = reader(facts) end
    return found
end

function lfs.attributes(path, wanted) return attributes(path, wanted) end

function lfs.symlinkattributes(path, wanted) return attributes(path, wanted, { follow = false }) end

-- as lfs does, '.' and '..' come first, and a directory that cannot be read is an error
function lfs.dir(path)
    local next_entry, list = files.list(path)
    if not next_entry then error(list, 2) end
    local dots = { '.', '..' }
    local directory = {}
    function directory.next()
        if #dots > 0 then return table.remove(dots, 1) end
        if list then return (next_entry(list)) end
    end
    function directory.close() list, dots = nil, {} end
    return directory.next, directory
end

function lfs.mkdir(path) return files.mkdir(path) end

function lfs.rmdir(path)
    local kind, message, code = attributes(path, 'mode', { follow = false })
    if not kind then return nil, message, code end
    if kind ~= 'directory' then return nil, ('Cannot remove "%s": Not a directory'):format(path), 'invalid' end
    return files.remove(path)
end

function lfs.touch(path, accessed, modified)
    local facts, message, code = files.stat(path)
    if not facts then return nil, message, code end
    return files.touch(path, modified or accessed, accessed)
end

function lfs.currentdir() return '.' end

function lfs.chdir() return nil, 'Cannot change the directory: all scripts of the gateway share it', 'denied' end

-- POSIX has one mode
function lfs.setmode() return true, 'binary' end

return lfs
