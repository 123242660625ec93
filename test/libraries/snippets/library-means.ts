/**
 * Lua texts that use what public libraries are made of, which no package of Debian brings: templates that are compiled, serializers of values,
 * classes, texts with tags, sums over words of 32 bits.
 */
export const LIBRARY_SNIPPETS: Readonly<Record<string, string>> = {
  'a template that is compiled from pieces and given its environment': `
    local function bind(f, env)
      local i, name = 0
      repeat i = i + 1 name = debug.getupvalue(f, i) until not name or name == '_ENV'
      if name then debug.upvaluejoin(f, i, (function() return env end), 1) end
      return f
    end
    local function render(template, values)
      local code = {'local out = ...\\n'}
      local function emit(text) code[#code + 1] = text end
      local at = 1
      for before, mark, inside, after in template:gmatch '(.-)<%%([=]?)(.-)%%>()' do
        emit(('out[#out + 1] = %q\\n'):format(before))
        emit(mark == '=' and 'out[#out + 1] = escape(tostring(' .. inside .. '))\\n' or inside .. '\\n')
        at = after
      end
      emit(('out[#out + 1] = %q return out'):format(template:sub(at)))
      local n = 0
      local f, message = load(function() n = n + 1 return code[n] end, 'page')
      if not f then return nil, message end
      local entities = {['&'] = '&amp;', ['<'] = '&lt;', ['"'] = '&quot;'}
      local env = setmetatable({escape = function(s) return (s:gsub('[&<"]', entities)) end}, {__index = function(_, key)
        local value = values[key]
        if value == nil then value = _G[key] end
        return value
      end})
      local ok, out = pcall(bind(f, env), {})
      return ok and table.concat(out) or out
    end
    print(render('Hello <%= name %>:<% for i, item in ipairs(items) do %> <%= i .. item %><% end %>.', {name = '<A & "B">', items = {'x', 'y'}}))
    print(render('a <% if x %> b', {})) print(render('a\\n<%= nothing.x %>', {})) print(render('<%= tostring(math.pi):sub(1, 4) %>', {}))`,
  'a serializer that dumps functions and loads what it has written': `
    local function write(value, seen)
      local kind = type(value)
      if kind == 'string' then return ('%q'):format(value):gsub('\\n', 'n'):gsub('\\26', '\\\\26') end
      if kind == 'number' then return value == 1/0 and '1/0' or math.type(value) == 'float' and ('%.17g'):format(value) or tostring(value) end
      if kind == 'function' then return ("load(%q, '@written')"):format(string.dump(value)) end
      if kind ~= 'table' then return tostring(value) end
      if seen[value] then return 'nil' end
      seen[value] = true
      local keys = {}
      for key in pairs(value) do keys[#keys + 1] = key end
      table.sort(keys, function(a, b)
        local function rank(k) return type(k) .. tostring(k):gsub('%d+', function(d) return ('%012d'):format(tonumber(d)) end) end
        return rank(a) < rank(b)
      end)
      for i, key in ipairs(keys) do keys[i] = '[' .. write(key, seen) .. '] = ' .. write(value[key], seen) end
      return '{' .. table.concat(keys, ', ') .. '}'
    end
    local t = {1, 2, [10] = 'z', a = 'line\\n\\0\\26"', [true] = false, deep = {deeper = {}}, n = 1 << 53, huge = math.huge, x = 0.1}
    t.self = t
    print(write(t, {}))
    local safe = setmetatable({}, {__index = function(self) return self end, __call = function() error('no calls', 0) end})
    local back = load('return ' .. write(t, {}), nil, nil, safe)()
    print(back[10], back.a == t.a, back.n, back.huge, back.x == 0.1, back[true])
    print(pcall(load('return os.exit()', nil, nil, safe))) print(load('return {', nil, nil, safe))
    local f = load('return ' .. write(function(a) return a * 2 end, {}))()
    print(f(21), debug.getinfo(f, 'S').short_src ~= nil)`,
  'classes that inherit metamethods, with mixins and weak registers': `
    local classes = setmetatable({}, {__mode = 'k'})
    local function propagate(class, name, value)
      value = name == '__gc' and value or value
      class.methods[name] = value
      for sub in pairs(class.subclasses) do if rawget(sub.own, name) == nil then propagate(sub, name, value) end end
    end
    local function class(name, super)
      local methods = {}
      methods.__index = methods
      local c = {name = name, super = super, methods = methods, own = {}, subclasses = setmetatable({}, {__mode = 'k'})}
      if super then for k, v in pairs(super.methods) do if k ~= '__index' then methods[k] = v end end super.subclasses[c] = true end
      classes[c] = true
      return setmetatable(c, {__index = methods, __tostring = function() return 'class ' .. name end,
        __newindex = function(self, k, v) self.own[k] = v propagate(self, k, v) end,
        __call = function(self, ...) local o = setmetatable({class = self}, methods) if o.initialize then o:initialize(...) end return o end})
    end
    local Shape = class 'Shape'
    function Shape:initialize(size) self.size = size end
    Shape.__tostring = function(self) return self.class.name .. ' of ' .. self.size end
    Shape.__lt = function(a, b) return a.size < b.size end
    Shape.__le = function(a, b) return a.size <= b.size end
    Shape.__add = function(a, b) return a.class(a.size + b.size) end
    Shape.__len = function(self) return self.size end
    local Square = class('Square', Shape)
    function Square:initialize(size) Shape.initialize(self, size * size) end
    Shape.__concat = function(a, b) return tostring(a) .. '|' .. tostring(b) end
    for k, v in pairs{area = function(self) return self.size end} do Square[k] = v end
    local a, b = Square(2), Square(3)
    print(tostring(a), tostring(Square), a < b, a <= b, #b, a .. b, tostring(a + b), a:area(), Shape(1).area)
    local count = 0
    a, b = nil, nil collectgarbage() collectgarbage()
    for _ in pairs(classes) do count = count + 1 end print(count)`,
  'a text with sections and tags, by patterns': `
    local function draw(text, context)
      text = text:gsub('{{#([%w_.]+)}}(.-){{/%1}}', function(name, inside)
        local value = context[name]
        if type(value) ~= 'table' then return value and draw and inside or '' end
        local parts = {}
        for i, item in ipairs(value) do parts[i] = inside:gsub('{{%.}}', (tostring(item):gsub('%%', '%%%%'))) end
        return table.concat(parts)
      end)
      return (text:gsub('{{(&?)([%w_]+)}}', function(raw, name)
        local value = tostring(context[name] or '')
        return raw == '&' and value or (value:gsub('[<>&]', {['<'] = '&lt;', ['>'] = '&gt;', ['&'] = '&amp;'}))
      end))
    end
    print(draw('{{title}} {{&title}} {{none}}:{{#items}} -{{.}}{{/items}}{{#off}}no{{/off}}', {title = '<b>&', items = {1, '100%', 'é'}}))`,
  'sums over words of 32 bits': `
    local function sum(text)
      local a, b = 0x67452301, 0xefcdab89
      text = text .. '\\128' .. ('\\0'):rep(-(#text + 9) % 64) .. string.pack('<I8', #text * 8)
      for at = 1, #text, 4 do
        local word = string.unpack('<I4', text, at)
        a = (a + ((b & word) | (~b & 0xffffffff & a)) + word) & 0xffffffff
        a = (a << 7 | a >> 25) & 0xffffffff
        a, b = b, (a ~ b) & 0xffffffff
      end
      return (('%08x%08x'):format(a, b)), (string.pack('<I4I4', a, b):gsub('.', function(c) return ('%02x'):format(c:byte()) end))
    end
    print(sum '') print(sum 'abc') print(sum(('x'):rep(1000)))`,
};
