-- argparse: usage, help, commands, converters, errors by pparse; and cliargs and say
local Parser = require 'argparse'

local parser = Parser('tool', 'Does things.', 'The end.')
parser:argument('input', 'Input file.'):args(1)
parser:argument('rest'):args '*'
parser:option('-o --output', 'Output file.', 'a.out')
parser:option('-I --include', 'Places.'):count('*')
parser:option('-l --level'):convert(tonumber):choices { 1, 2, 3 }
parser:option('--pair'):args(2):argname { '<key>', '<value>' }
parser:flag('-v --verbose', 'Says more.'):count('0-2'):target('verbosity')
parser:mutex(parser:flag('-q --quiet'), parser:flag('--loud'))
parser:option('--from'):action(function(args, _, value) args.from = value:upper() end)
print(parser:get_usage())
print(parser:get_help())
local function parse(...)
    local words = table.pack(...)
    show(words, parser:pparse(words))
end
parse('in')
parse('in', 'a', 'b', '-o', 'out', '-I', '1', '--include=2', '-I3')
parse('in', '-vv', '--level', '2')
parse('in', '-vvv')
parse('in', '--level', '9')
parse('in', '--level', 'x')
parse('in', '--pair', 'k', 'v')
parse('in', '--pair', 'k')
parse('in', '-q', '--loud')
parse()
parse('in', '--unknown')
parse('in', '--outpt', 'x')
parse('in', '--', '-v', '--from')
parse('in', '--from', 'abc', '-x')
try(parser.parse, parser, { 'in' })
try(Parser, 1, 2)
try(function() return Parser('x'):option(5) end)

local git = Parser('git'):require_command(true):command_target('command')
local add = git:command('add a', 'Adds.')
add:argument('files'):args('+')
add:flag('-n --dry-run')
local remote = git:command('remote')
remote:command('show'):argument('name'):args('?')
print(git:get_help(), add:get_usage())
for _, words in ipairs { { 'add', 'x', 'y', '-n' }, { 'a', 'x' }, { 'remote', 'show', 'origin' }, { 'remote' }, {}, { 'ad', 'x' }, { 'add' }, { 'clone' } } do
    show(words, git:pparse(words))
end
show(#git:get_bash_complete(), #git:get_zsh_complete(), #git:get_fish_complete())
print((git:get_fish_complete():gsub('\t', '    ')))

local cli = require 'cliargs.core' ()
cli:set_name('cli')
cli:set_description('It is a test')
cli:argument('ROOT', 'the root')
cli:splat('FILES', 'files', nil, 3)
cli:option('-c, --compress=FILTER', 'the filter', 'gzip')
cli:option('-n=NUMBER', 'how many', '1', tonumber)
cli:flag('-d, --[no-]debug', 'debug', true)
cli:flag('-V, --version', 'version', false)
print(cli.printer.generate_usage())
print(cli.printer.generate_help())
for _, words in ipairs { { 'r' }, { 'r', 'a', 'b', '-c', 'lzma', '--no-debug' }, { '--compress=xz', 'r' }, { 'r', 'a', 'b', 'c', 'd' }, {}, { 'r', '-x' }, { 'r', '-c' } } do
    show(words, cli:parse(words))
end

local say = require 'say'
say:set_namespace('en')
say:set('balance', 'You have %s of %d')
say:set('plain', 'plain')
print(say('balance', { 'all', 7, n = 2 }), say('plain'), say('missing'))
say:set_namespace('de')
say:set('plain', 'schlicht')
print(say('plain'), say('balance', { nil, 1, n = 2 }))
say:set_fallback('en')
try(say, 'balance', { n = 1 })
try(say, 'balance', 'x')
