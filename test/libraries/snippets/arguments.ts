/**
 * Lua texts that call the functions of a library with up to three arguments of each kind, most of them wrong, for the comparison with lua5.4 of
 * results and messages.
 */
const LIBRARIES: Readonly<Record<string, string>> = {
  string: 'byte char find format gmatch gsub len lower match pack packsize reverse sub unpack upper',
  table: 'concat insert move pack sort unpack',
  math: 'abs ceil cos deg exp floor log max min modf rad sin sqrt tan tointeger type ult',
  utf8: 'char codepoint codes len offset',
  os: 'difftime',
  coroutine: 'create isyieldable resume status wrap',
  debug: 'getmetatable getupvalue getuservalue setupvalue setuservalue',
  _G: 'assert error getmetatable ipairs load next pairs pcall rawequal rawget rawlen rawset select setmetatable tonumber type xpcall',
  io: 'type',
};

/** Expressions of Lua, evaluated anew for each call: functions change tables. `object` has metamethods. */
const ARGUMENTS: readonly string[] = [
  ...['nil', '0', '1', '-1', '3', '2.0', '2.5', '-0.0', '1/0', '2^63', 'math.maxinteger', 'math.mininteger'],
  ...['""', '"abc"', '"10"', '"0x10"', '" 5 "', '"1e1"', '"5x"', '"a\\0b"', '"%d %s"', '"\\xff\\xfe"'],
  ...['true', 'false', '{}', '{3, 1, 2}', '{"b", "a"}', 'type', 'object', 'io.stdout'],
];
/** What stands second and third. */
const SECOND: readonly string[] = ['1', '"abc"'];
const THIRD = '3';
/** What functions of tables would make of it takes all memory, in lua5.4 as well. */
const HUGE = 'math.maxinteger';

const TEXT = `local object = setmetatable({}, {
  __tostring = function() return 'object' end,
  __len = function() return 3 end,
  __index = function(_, key) return key end,
  __name = 'Own',
})
local function text(value)
  local kind = type(value)
  if kind == 'number' and value ~= value then return 'nan' end
  if kind == 'number' then return math.type(value) == 'float' and ('%.14g f'):format(value) or tostring(value) end
  if kind == 'string' then return ('%q'):format(#value > 60 and value:sub(1, 60) .. #value or value):gsub('\\n', 'n') end
  return kind == 'boolean' and tostring(value) or kind
end
local function call(name, f, shown, ...)
  local results = table.pack(pcall(f, ...))
  for i = 1, results.n do results[i] = text(results[i]) end
  print(('%s(%s) = %s'):format(name, shown, table.concat(results, ', ')))
end`;

function callsOf(library: string, name: string): string[] {
  const f = library === '_G' ? name : `${library}.${name}`;
  const firsts = library === 'table' ? ARGUMENTS.filter((text) => text !== HUGE) : ARGUMENTS;
  const lists = firsts.flatMap((first) => [
    [first],
    ...SECOND.map((second) => [first, second]),
    [first, SECOND[0], THIRD],
  ]);
  return [`call('${name}', ${f}, '')`].concat(
    lists.map((list) => `call('${name}', ${f}, [[${list.join(', ')}]], ${list.join(', ')})`),
  );
}

export const ARGUMENT_SNIPPETS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(LIBRARIES).map(([library, names]) => [
    `what functions of ${library} make of arguments of each kind`,
    `${TEXT}\n${names
      .split(' ')
      .map((name) => `do ${callsOf(library, name).join(' ')} end`)
      .join('\n')}
    ${library === 'os' ? 'for _, a in ipairs{math.maxinteger, math.mininteger} do for _, b in ipairs{-1, 1, math.maxinteger, math.mininteger} do print(text(os.difftime(a, b))) end end' : ''}`,
  ]),
);
