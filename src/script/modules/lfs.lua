-- LuaFileSystem's functions on httpd.files, for libraries that require 'lfs', with the messages and numbers of its errors. What would
-- change the whole process is missing or refused.
local files = require('httpd').files

-- where relative names start: what `require` hands the loader beside the name
local _, working_directory = ...

local lfs = { _VERSION = 'LuaFileSystem 1.8.0 (lgateway)' }

local MODES = { file = 'file', directory = 'directory', link = 'link', fifo = 'named pipe', socket = 'socket', device = 'char device' }

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

-- errno, which LuaFileSystem returns, by the words of strerror, with which the messages of httpd.files end
local NUMBERS = {
    ['Operation not permitted'] = 1,
    ['No such file or directory'] = 2,
    ['Input/output error'] = 5,
    ['Permission denied'] = 13,
    ['Device or resource busy'] = 16,
    ['File exists'] = 17,
    ['Not a directory'] = 20,
    ['Is a directory'] = 21,
    ['Invalid argument'] = 22,
    ['No space left on device'] = 28,
    ['Read-only file system'] = 30,
    ['File name too long'] = 36,
    ['Directory not empty'] = 39,
    ['Too many levels of symbolic links'] = 40,
}
local EIO <const> = 5

-- the words that say why, and errno
local function reason(message)
    local words = message:match(': ([^:]+)$')
    if NUMBERS[words] then return words, NUMBERS[words] end
    return message, EIO
end

local function failure(message)
    local words, number = reason(message)
    return nil, words, number
end

-- the error names the line that called the function of lfs
local function check_name(name, path)
    if type(path) ~= 'string' and type(path) ~= 'number' then
        error(("bad argument #1 to 'lfs.%s' (string expected, got %s)"):format(name, path == nil and 'no value' or type(path)), 3)
    end
end

local function attributes(name, path, wanted, options)
    check_name(name, path)
    local facts, message = files.stat(path, options)
    if not facts then
        local words, number = reason(message)
        return nil, ("cannot obtain information from file '%s': %s"):format(path, words), number
    end
    if type(wanted) == 'string' then
        local reader = READERS[wanted]
        if not reader then error(("invalid attribute name '%s'"):format(wanted), 2) end
        return reader(facts)
    end
    local found = type(wanted) == 'table' and wanted or {}
    for key, reader in pairs(READERS) do found[key] = reader(facts) end
    return found
end

function lfs.attributes(path, wanted) return attributes('attributes', path, wanted) end

function lfs.symlinkattributes(path, wanted) return attributes('symlinkattributes', path, wanted, { follow = false }) end

local directories = { __name = 'directory metatable' }
directories.__index = directories

function directories.next(directory)
    if not directory.dots then error("bad argument #1 to '?' (closed directory)", 2) end
    local name = table.remove(directory.dots, 1) or directory.next_entry(directory.list)
    if not name then directory:close() end
    return name
end

function directories.close(directory) directory.next_entry, directory.list, directory.dots = nil, nil, nil end

directories.__close = directories.close

-- as lfs does, '.' and '..' come first, and a directory that cannot be read is an error
function lfs.dir(path)
    check_name('dir', path)
    local next_entry, list = files.list(path)
    if not next_entry then error(('cannot open %s: %s'):format(path, (reason(list))), 2) end
    local directory = setmetatable({ next_entry = next_entry, list = list, dots = { '.', '..' } }, directories)
    return directory.next, directory, nil, directory
end

function lfs.mkdir(path)
    check_name('mkdir', path)
    local made, message = files.mkdir(path)
    if not made then return failure(message) end
    return true
end

function lfs.rmdir(path)
    check_name('rmdir', path)
    local facts, message = files.stat(path, { follow = false })
    if not facts then return failure(message) end
    if facts.kind ~= 'directory' then return failure('x: Not a directory') end
    local removed, why = files.remove(path)
    if not removed then return failure(why) end
    return true
end

function lfs.touch(path, accessed, modified)
    check_name('touch', path)
    local facts, message = files.stat(path)
    if not facts then return failure(message) end
    local touched, why = files.touch(path, modified or accessed, accessed)
    if not touched then return failure(why) end
    return true
end

function lfs.currentdir() return working_directory end

function lfs.chdir() return nil, 'Cannot change the directory: all scripts of the gateway share it', 'denied' end

-- POSIX has one mode
function lfs.setmode() return true, 'binary' end

return lfs
