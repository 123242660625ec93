/** Lua texts about coroutines and errors, for the comparison with lua5.4. Each runs in a function called by pcall. */
export const COROUTINE_SNIPPETS: Readonly<Record<string, string>> = {
  'results of resume': `
    local co = coroutine.create(function(a, b) print(a, b) local c = coroutine.yield(a + b) print(c) return 'end', nil, 3 end)
    print(coroutine.resume(co, 1, 2)) print(coroutine.resume(co, 'x')) print(coroutine.resume(co)) print(coroutine.status(co))`,
  'resume of no coroutine':
    'print(pcall(coroutine.resume, 1)) print(pcall(coroutine.resume)) coroutine.resume({})',
  'an error in a resumed coroutine': `
    local co = coroutine.create(function() error('oops') end) print(coroutine.resume(co)) print(coroutine.resume(co)) print(coroutine.status(co))`,
  'an error table in a resumed coroutine': `
    local e = {} local co = coroutine.create(function() error(e) end) local ok, got = coroutine.resume(co) print(ok, got == e)`,
  'an error in a wrapped function': `local f = coroutine.wrap(function() error('deep') end) print(pcall(f)) print(pcall(f)) f()`,
  'an error table in a wrapped function': `local e = {} local f = coroutine.wrap(function() error(e) end) local ok, got = pcall(f) print(ok, got == e)`,
  'a wrapped function that is dead': `local f = coroutine.wrap(function() return 1 end) print(f()) f()`,
  'a wrapped function that resumes itself': `local f f = coroutine.wrap(function() print(pcall(f)) return 'out' end) print(f())`,
  'a coroutine that resumes itself': `
    local co co = coroutine.create(function() print(coroutine.resume(co)) return coroutine.status(co) end) print(coroutine.resume(co))`,
  'the status of every coroutine of a chain': `
    local outer outer = coroutine.create(function() local inner = coroutine.create(function() print(coroutine.status(outer)) coroutine.yield() end)
      print(coroutine.status(inner)) coroutine.resume(inner) print(coroutine.status(inner)) coroutine.resume(inner) print(coroutine.status(inner)) end)
    print(coroutine.status(outer)) coroutine.resume(outer) print(coroutine.status(outer))`,
  'status of no coroutine': 'coroutine.status(nil)',
  'wrap of no function': 'coroutine.wrap(1)',
  'create of no function': 'coroutine.create()',
  'running outside of a coroutine':
    'local co, main = coroutine.running() print(type(co), main, coroutine.isyieldable())',
  'running inside of a coroutine': `coroutine.wrap(function() local co, main = coroutine.running() print(type(co), main, coroutine.isyieldable(), coroutine.status(co)) end)()`,
  'isyieldable of a coroutine': `local co = coroutine.create(print) print(coroutine.isyieldable(co)) print(pcall(coroutine.isyieldable, 1))`,
  'yield outside of a coroutine': 'print(pcall(coroutine.yield, 1)) coroutine.yield()',
  'yield below table.sort': `
    local co = coroutine.create(function() table.sort({3, 2, 1}, function(a, b) coroutine.yield() return a < b end) end) print(coroutine.resume(co))`,
  'yield below string.gsub': `local co = coroutine.create(function() return (('abc'):gsub('.', function(c) coroutine.yield(c) end)) end) print(coroutine.resume(co))`,
  'yield below a reader of load': `local co = coroutine.create(function() print(load(function() coroutine.yield() end)) end) print(coroutine.resume(co))`,
  'yield through pcall': `
    local f = coroutine.wrap(function() print(pcall(function() coroutine.yield(1) error('after') end)) return 2 end) print(f()) print(f())`,
  'yield through xpcall and its handler': `
    local f = coroutine.wrap(function() print(xpcall(function(...) print(...) coroutine.yield(1) error('after') end, function(m) return 'handled ' .. m end, 7, 8)) return 2 end)
    print(f()) print(f())`,
  'yield in an error handler': `
    local f = coroutine.wrap(function() return xpcall(error, function(m) coroutine.yield(m) return m end, 'x') end) print(pcall(f))`,
  'yield in metamethods': `
    local mt = {} for _, e in ipairs{'__index', '__add', '__concat', '__lt', '__le', '__eq', '__len', '__call', '__unm', '__idiv', '__band'} do
      mt[e] = function(...) return coroutine.yield(e) end end
    local t, u = setmetatable({}, mt), setmetatable({}, mt)
    local f = coroutine.wrap(function() return t.x, t + 1, t .. 'x', t < u, t <= u, t == u, #t, t(1), -t, t // 2, t & 1 end)
    print(f()) for i = 1, 10 do print(f(i)) end print(f(11))`,
  'yield in __newindex and __close': `
    local f = coroutine.wrap(function()
      setmetatable({}, {__newindex = function(t, k, v) coroutine.yield(k, v) end}).key = 'value'
      do local c <close> = setmetatable({}, {__close = function(_, e) coroutine.yield('closing', e) end}) end
      return 'done' end)
    print(f()) print(f()) print(f())`,
  'yield in an iterator': `
    local function each(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i, i * i) end end) end
    for i, s in each(4) do print(i, s) end`,
  'wrap in wrap in wrap': `
    local f = coroutine.wrap(function() local g = coroutine.wrap(function() local h = coroutine.wrap(function() coroutine.yield(1) return 2 end)
      coroutine.yield(h()) coroutine.yield(h()) return 3 end) coroutine.yield(g()) coroutine.yield(g()) coroutine.yield(g()) return 4 end)
    print(f(), f(), f(), f())`,
  'close of a suspended coroutine': `
    local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function(_, e) print('closed', e) end}) coroutine.yield() end)
    coroutine.resume(co) print(coroutine.close(co)) print(coroutine.status(co)) print(coroutine.resume(co))`,
  'close of a coroutine that failed': `local co = coroutine.create(function() error('bad', 0) end) coroutine.resume(co) print(coroutine.close(co)) print(coroutine.close(co))`,
  'close with an error in __close': `
    local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() error('in close', 0) end}) coroutine.yield() end)
    coroutine.resume(co) print(coroutine.close(co)) print(coroutine.status(co))`,
  'close of a running coroutine': `print(coroutine.wrap(function() return pcall(coroutine.close, (coroutine.running())) end)())`,
  'close of a normal coroutine': `local co co = coroutine.create(function() return coroutine.wrap(function() return pcall(coroutine.close, co) end)() end) print(coroutine.resume(co))`,
  'a deep chain of wrapped functions': `
    local function deep(n) if n == 0 then return 'bottom' end return coroutine.wrap(deep)(n - 1) end print(deep(50)) local ok, m = pcall(deep, 500) print(ok, m:match('C stack overflow$'))`,
  'a stack overflow': `local function f() return 1 + f() end local ok, m = pcall(f) print(ok, m:match('^[^\\n(]*'))`,
  'an error in an error handler': `print(xpcall(error, function() error('again') end, 'x'))`,
  'levels of error': `
    local function f(level) error('message', level) end
    local function g(level) f(level) end
    print(pcall(g, 0)) print(pcall(g, 1)) print(pcall(g, 2))`,
  'errors that are no strings': `print(pcall(error)) print(pcall(error, nil)) print(pcall(error, 42)) print(pcall(error, true))`,
  'an error with __tostring': `error(setmetatable({}, {__tostring = function() return 'described' end}))`,
  'order of closing': `
    local function closer(n) return setmetatable({}, {__close = function(_, e) print(n, e) end}) end
    print(pcall(function() local a <close> = closer('a') local b <close> = closer('b') error('why', 0) end))`,
  'a value that cannot be closed': 'local x <close> = 42',
  'an error in __close that replaces another': `
    print(pcall(function() local a <close> = setmetatable({}, {__close = function(_, e) error('second ' .. tostring(e), 0) end}) error('first', 0) end))`,
  'debug.traceback of a coroutine': `local co = coroutine.create(function() local function inner() coroutine.yield() end inner() end) coroutine.resume(co) print(debug.traceback(co)) print(debug.traceback(co, 'message', 1))`,
  'a goto out of a loop with close': `
    for i = 1, 3 do local c <close> = setmetatable({}, {__close = function() print('close', i) end}) if i == 2 then goto out end end ::out:: print('out')`,
  'close in a generic for': `
    local function iterate() return function(_, i) if i < 3 then return i + 1 end end, nil, 0, setmetatable({}, {__close = function() print('loop closed') end}) end
    for i in iterate() do print(i) end for i in iterate() do if i == 2 then break end end`,
};
