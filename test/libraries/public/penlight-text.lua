-- Penlight on text: stringx, text, template, sip, lexer, lapp, pretty, xml, url, types, strict, test, Date
local stringx = require 'pl.stringx'
local utils = require 'pl.utils'

for _, text in ipairs { '', 'abc', 'ABC', '123', 'a1', '  ', 'Ab c', 'ä' } do
    show(text, stringx.isalpha(text), stringx.isdigit(text), stringx.isalnum(text), stringx.isspace(text), stringx.islower(text), stringx.isupper(text), stringx.title(text))
end
show(stringx.startswith('name.lua', { 'x', 'na' }), stringx.endswith('name.lua', '.lua'), stringx.join(',', { 1, 2, 'x' }), stringx.splitlines('a\r\nb\nc\r', true))
show(stringx.split(' a  b c '), stringx.split('a,b,,c', ','), stringx.split('a,b,c', ',', 2), stringx.split('', ','), stringx.splitv('a=b', '='))
show(stringx.expandtabs('a\tbc\td', 4), stringx.lfind('hello', 'l'), stringx.rfind('hello', 'l'), stringx.replace('a.b.c', '.', '%'), stringx.replace('aaa', 'a', 'b', 2))
show(stringx.count('banana', 'an'), stringx.count('aaaa', 'aa', true), stringx.ljust('x', 4, '.'), stringx.rjust('x', 4), stringx.center('x', 5, '-'))
show(stringx.strip('  x  '), stringx.lstrip('xxa', 'x'), stringx.rstrip('a--', '-'), stringx.strip('[a]', '[]'), stringx.partition('a=b=c', '='))
show(stringx.rpartition('a=b=c', '='), stringx.at('abc', -1), stringx.indent('a\nb', 2), stringx.dedent('   a\n     b\n   c'))
show(stringx.wrap('the quick brown fox jumps over the lazy dog', 12), stringx.fill('the quick brown fox', 9), stringx.shorten('a long text', 7), stringx.shorten('a long text', 7, true))
show(stringx.quote_string('plain'), stringx.quote_string('a\n]]b]=]'), stringx.quote_string('\nx'), stringx.lines('a\nb')())
try(stringx.split, nil)
try(stringx.join, 1, {})
try(stringx.at, 'x')
try(stringx.partition, 'x', '')
show(utils.split('a b c'), utils.split('a.b', '.', true), utils.escape('a.b*c'), utils.choose(true, 1, 2), utils.array_tostring({ 1, 'x', true }))
show(stringx.Template('$a and ${b}'):substitute { a = 1, b = 'two' }, stringx.Template('$a $x'):safe_substitute { a = 1 })
try(function() return stringx.Template('$a $missing'):substitute { a = 1 } end)
show(stringx.Template('list:\n  $items\nend'):indent_substitute { items = 'one\ntwo' })

local text = require 'pl.text'
text.format_operator()
show('%s = %d' % { 'x', 5 }, '%5.2f' % math.pi, '$x' % { x = 1 })
getmetatable('').__mod = nil

local template = require 'pl.template'
local source = '<ul>\n# for i, name in ipairs(names) do\n<li>$(i): $(name:upper())</li>\n# end\n</ul>\n'
show(template.substitute(source, { names = { 'a', 'b' }, ipairs = ipairs }))
show(template.substitute(source, { names = { 'x' }, _parent = _G, _chunk_name = 'own' }))
print((select(2, template.substitute('$(missing.field)', {})):match '[^\n]*'))
show(template.substitute('# if then\n', {}))
show(template.substitute('@ for i = 1, 2 do\n<i>|(i)|\n@ end', { _escape = '@', _inline_escape = '|' }))
local compiled = template.compile('Hello $(who)!', { newline = '' })
show(compiled:render { who = 'world' }, compiled:render { who = 1 })
print((select(2, compiled:render(setmetatable({}, { __index = function(_, key) error('no ' .. key, 0) end }))):match '[^\n]*'))

local sip = require 'pl.sip'
local found = {}
show(sip.match('$v{name} = $f{value}', 'speed = 42.5', found), found)
show(sip.match('($i{a},$i{b})', '(1,x)', {}))
found = {}
show(sip.compile('$q{text} at $i{day}/$i{month}')('"hi there" at 3/12', found), found)
show(sip.create_pattern('$f $P'), sip.match_at_start('$v{w} $r{rest}', 'name more words', found), found)
try(sip.match, 5, 'x', {})
try(sip.create_pattern, '$Q')

local lexer = require 'pl.lexer'
for kind, value in lexer.lua('local x = 5.5 + 0x10 -- note\nreturn "s\\n", [[long]], x ~= 1, a.b:c(...)') do show(kind, value) end
for kind, value in lexer.cpp('int main(void) { /* c */ return "x"[0] != \'c\'; } // end', {}) do show(kind, value) end
for kind, value in lexer.scan('10 = hello $', nil, { space = true }, { number = true, string = true }) do show(kind, value) end
local tokens = lexer.lua('f(1, {2, 3}, x)')
show(tokens(), tokens())
show(#lexer.get_separated_list(tokens), lexer.lineno(lexer.scan('a\nb')))
try(lexer.scan, {})

local lapp = require 'pl.lapp'
lapp.show_usage_error = 'throw'
local usage = [[
Tests values
  -p, --print  print it
  -n, --number (default 5)  a number
  -o, --output (optional string)  a name
  -k, --kind (a|b|c default a) one of
  -r, --range (1..10 default 3) in range
  -v, --verbose...  louder
  <input> (string) a name
  <rest...> (default none) others
]]
for _, words in ipairs { { 'in' }, { '-pn7', 'in', 'x', 'y' }, { '--output=o', '-k', 'b', '-vvv', 'in' }, { 'in', '-k', 'z' }, { 'in', '-r', '11' }, { 'in', '--none' }, {}, { '-n', 'x', 'in' } } do
    local ok, result = pcall(lapp.process_options_string, usage, words)
    show(words, ok, type(result) == 'table' and (result.output or result.input and result) or result)
end

local pretty = require 'pl.pretty'
for _, value in ipairs {
    {}, { 1, 2 }, { a = 1 }, { 1, { 2, { 3 } }, x = { y = {} } }, { ['a b'] = 1, ['end'] = 2, [true] = 3, [1.5] = 4 }, { "it's", 'a\nb', '\0' }, { 1 / 0, -1 / 0, 2 ^ 53, 0.1 },
} do
    print(pretty.write(value), pretty.write(value, ''), pretty.write(value, ' ', true))
end
local loop = {}
loop.loop = loop
print((pretty.write(loop):gsub('0x%x+', 'ADDRESS')))
show(pretty.write(5), pretty.write('x'), pretty.write({ print }):gsub('0x%x+', 'ADDRESS'))
for _, source_text in ipairs { '{1, 2, a = {b = "x"}}', '{', '{f()}', '{function() end}', '{x = y}', ' -- comment\n{1}', '{("x"):rep(10)}', '5', '{1 + 1}' } do
    show(source_text, pretty.read(source_text))
end
show(('x'):rep(3), pretty.load('x = 1; y = {2}', {}))
show(pretty.load('x = for', {}))
show(pretty.load('x = f()', { f = function() return 7 end }))
show(pretty.number(123456), pretty.number(1500000, 'M'), pretty.number(1234567.891, 'T', 2), pretty.number(2 ^ 20, 'M', 1))

local xml = require 'pl.xml'
-- by Penlight's own parser: lxp is a C library
local function parse(source_text) return xml.parse(source_text, false, true) end
local document = parse('<a x=\'&lt;1&gt;\'><b>text &amp; more</b><c/><!-- note --><b k="v">two</b></a>')
print(document, xml.tostring(document, '', '  '), #document, document.attr.x)
show(document:child_with_name('b'):get_text(), document:get_elements_with_name('b')[2].attr.k, document:first_childtag().tag)
for tag in document:childtags() do show(tag.tag) end
local built = xml.new('list', { type = 'x' }):addtag('item', { id = '1' }):text('<one>'):up():addtag('item'):text('two')
print(built, xml.is_tag(built), xml.xml_escape('<"x">'), xml.xml_unescape('&lt;&quot;&apos;'))
local ul, li = xml.tags 'ul,li'
print(ul { class = 'menu', li 'one', li { 'two', id = 'second' } })
show(parse('<p><name>$name</name><age>$age</age></p>'):match('<p><name>ana</name></p>'))
show(parse('<r><i>1</i><i>2</i></r>'):match('<r>{{<i>$value</i>}}</r>'))
try(parse, '<a><b></a>')
try(parse, '<a')
show(xml.compare(parse('<a/>'), parse('<a></a>')), xml.compare(parse('<a x="1"/>'), parse('<a x="2"/>')))
show(xml.clone(document) == document, tostring(xml.clone(document)) == tostring(document))
show(tostring(xml.parsehtml('<div><p>a<br>b</p></div>')))

local url = require 'pl.url'
show(url.quote('a b/ü?&'), url.quote('a b', true), url.unquote('a%20b+c%2F%zz'), url.unquote(url.quote('\0\1ÿ')))

local types = require 'pl.types'
for _, value in ipairs { 1, 1.5, 'x', {}, print, io.stdout, setmetatable({}, { __call = print }), setmetatable({}, { __index = {}, __len = print }) } do
    show(types.type(value), types.is_callable(value), type(value) == 'number' and types.is_integer(value), types.is_empty(value), types.is_indexable(value), types.is_iterable(value), types.is_writeable(value))
end
show(types.to_bool('yes'), types.to_bool('off'), types.to_bool('ja', { 'ja' }), types.to_bool(0), types.is_type('x', 'string'))

local strict = require 'pl.strict'
local module = strict.module('mod', { a = 1 }, { b = true })
show(module.a, module.b)
try(function() return module.missing end)
try(function() module.added = 1 end)
show(strict.make_all_strict ~= nil, rawget(_G, 'never_declared'))
setmetatable(_G, nil)

local pl_test = require 'pl.test'
pl_test.asserteq({ 1, { 2 } }, { 1, { 2 } })
pl_test.assertmatch('abc', 'b')
pl_test.assertraise({ error, 'boom', 0 }, 'boom')
show(pl_test.tuple(1, 2) == pl_test.tuple(1, 2))

local Date = require 'pl.Date'
local date = Date { year = 2024, month = 2, day = 28, hour = 12, min = 30, sec = 5 }
show(date:year(), date:month(), date:day(), date:hour(), date:weekday_name(), date:month_name(true), date:is_weekend(), date:last_day():day(), date:year())
date:add { day = 2 }
show(date:day(), date:month(), date:toUTC():year())
local format = Date.Format('yyyy-mm-dd HH:MM:SS')
show(format:tostring(Date { year = 2020, month = 1, day = 2, hour = 3, min = 4, sec = 5 }), format:parse('2021-12-31 23:59:58'):month())
show(format:parse('nonsense'))
local free = Date.Format()
for _, written in ipairs { '2010-04-10', '2011-11-21T10:31Z', '3:45pm', '10 May 2012', 'Jan 2, 2013', '5/6/14', 'no date', '25:61' } do
    local parsed, message = free:parse(written)
    show(written, parsed and { parsed:year() > 2009 and parsed:month() or 0, parsed:min() }, message)
end
show(tostring(Date { year = 2024, month = 3, day = 1 } - Date { year = 2024, month = 2, day = 1 }), Date(0) < Date(1), Date(5) == Date(5))
try(Date, {})
try(Date.diff, Date(0), 5)
