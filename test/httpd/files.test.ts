/** httpd.files and the module lfs: names inside the root and outside of it, kinds of files, failures, bounds. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DIRECTORY_ENTRIES_MAX } from '../../src/file/file-steps.ts';
import { type HarnessOptions, ScriptHarness } from '../support/script-harness.ts';

/** What a handler of `body` writes, in a folder that `prepare` has filled. */
async function outputIn(
  prepare: (folder: string) => void,
  body: string,
  options: HarnessOptions = { rooted: true },
): Promise<string> {
  const harness = await ScriptHarness.run(
    `local function show(...)
       local out = table.pack(...)
       for i = 1, out.n do out[i] = tostring(out[i]) end
       httpd.write(nil, table.concat(out, ' ') .. '\\n')
     end
     local files = httpd.files
     ${body}`,
    options,
  );
  try {
    prepare(harness.folder);
    return await harness.output();
  } finally {
    await harness.close();
  }
}

const nothing = (): void => undefined;

test('httpd.files.stat says what a name stands for, and of a link where it is told not to follow', async () => {
  const output = await outputIn(
    (folder) => {
      writeFileSync(join(folder, 'a.txt'), 'four');
      mkdirSync(join(folder, 'sub'), { mode: 0o750 });
      symlinkSync('a.txt', join(folder, 'link'));
      execFileSync('mkfifo', [join(folder, 'pipe')]);
    },
    `httpd.files.touch('a.txt', 1.5, 3)
     local facts = files.stat('a.txt')
     show(facts.kind, facts.size, facts.mtime, facts.atime, math.type(facts.size), facts.links)
     show(files.stat('/sub').kind, ('%o'):format(files.stat('sub').mode))
     show(files.stat('link').kind, files.stat('link', {follow = false}).kind, files.stat('pipe').kind)
     show(files.stat('sub/../sub/.').kind)`,
  );
  assert.equal(output, 'file 4 1.5 3.0 integer 1\ndirectory 750\nfile link fifo\ndirectory\n');
});

test('httpd.files.list is an iterator over names, kinds, sizes and times', async () => {
  const output = await outputIn(
    (folder) => {
      mkdirSync(join(folder, 'd/sub'), { recursive: true });
      writeFileSync(join(folder, 'd/caf\u00e9'), 'abc');
      symlinkSync('/etc', join(folder, 'd/out'));
      symlinkSync('d/sub', join(folder, 'inner'));
      writeFileSync(join(folder, 'd/sub/x'), '');
    },
    `local seen = {}
     for name, kind, size, mtime in assert(files.list('d')) do
       seen[#seen + 1] = ('%s %s %s %s'):format(name, kind, kind == 'file' and size or '-', math.type(mtime))
     end
     table.sort(seen)
     for _, line in ipairs(seen) do show(line) end
     for name in assert(files.list('inner')) do show('below', name) end`,
  );
  assert.equal(
    Buffer.from(output, 'latin1').toString(),
    'café file 3 float\nout link - float\nsub directory - float\nbelow x\n',
  );
});

test('httpd.files.mkdir, touch and remove make and take away, and say why they cannot', async () => {
  const output = await outputIn(
    nothing,
    `show(files.mkdir('new'))
     show(select(3, files.mkdir('new')))
     show(select(3, files.mkdir('no/such/place')))
     show(files.touch('new/file'))
     show(files.stat('new/file').size, math.abs(files.stat('new/file').mtime - httpd.now()) < 60)
     show(files.remove('new'))
     show(files.touch('new', 86400), files.stat('new').mtime)
     show(files.remove('new/file'), files.remove('new'))
     show(files.stat('new'))
     show(files.remove('new'))
     show(files.list('new'))`,
  );
  assert.deepEqual(output.split('\n'), [
    'true',
    'io',
    'notfound',
    'true',
    '0 true',
    'nil Cannot remove "new": Directory not empty io',
    'true 86400.0',
    'true true',
    'nil Cannot look at "new": No such file or directory notfound',
    'nil Cannot remove "new": No such file or directory notfound',
    'nil Cannot list "new": No such file or directory notfound',
    '',
  ]);
});

test('httpd.files stays inside the root, whatever links and names lead out', async () => {
  const output = await outputIn(
    (folder) => {
      symlinkSync('/etc', join(folder, 'out'));
      symlinkSync('/etc/passwd', join(folder, 'passwd'));
      symlinkSync('loop', join(folder, 'loop'));
    },
    `for _, name in ipairs {'../x', 'out/passwd', 'passwd', 'out', 'out/../../etc'} do
       for _, call in ipairs {'stat', 'list', 'touch', 'mkdir', 'remove'} do
         if not (call == 'mkdir' or call == 'remove') or name:find('/', 1, true) then
           local done, message, code = files[call](name)
           if code ~= 'denied' then show(name, call, done, message, code) end
         end
       end
     end
     show(select(3, files.stat('loop')))
     show(files.stat('passwd', {follow = false}).kind)
     show(select(3, files.stat('a\\0b')), select(3, files.stat('')), select(3, files.stat(('x'):rep(5000))))
     show(files.remove('passwd'), files.remove('out'))`,
  );
  assert.equal(output, 'io\nlink\ninvalid notfound invalid\ntrue true\n');
  assert.ok(readdirSync('/etc').includes('passwd'));
});

test('httpd.files gives "denied" in the sandbox', async () => {
  const output = await outputIn(
    nothing,
    `for _, call in ipairs {'stat', 'list', 'touch', 'mkdir', 'remove'} do show(call, select(3, files[call]('x'))) end`,
    { rights: { sandboxed: true } },
  );
  assert.equal(output, 'stat denied\nlist denied\ntouch denied\nmkdir denied\nremove denied\n');
});

test('httpd.files raises for misuse', async () => {
  const output = await outputIn(
    nothing,
    `for _, call in ipairs {
       function() files.stat() end, function() files.stat({}) end, function() files.stat('a', {deep = true}) end,
       function() files.stat('a', {follow = 1}) end, function() files.touch('a', 'soon') end,
       function() files.touch('a', 0/0) end, function() files.list('a', 'b') end,
     } do show(select(2, pcall(call))) end`,
  );
  const lines = output.trim().split('\n');
  assert.equal(lines.length, 7);
  for (const [i, expected] of [
    /stat/,
    /string expected/,
    /stat has no option "deep"/,
    /option "follow" is a number/,
    /number expected/,
    /a time in seconds expected/,
    /list/,
  ].entries())
    assert.match(lines[i] as string, expected);
});

test('httpd.files.list of more entries than its limit is "limit", and a list that is not read to its end leaves nothing', async () => {
  const output = await outputIn(
    (folder) => {
      mkdirSync(join(folder, 'many'));
      mkdirSync(join(folder, 'few'));
      for (const name of ['one', 'two', 'three']) writeFileSync(join(folder, 'few', name), '');
      // names of one file, which are made faster than files
      for (let i = 0; i < DIRECTORY_ENTRIES_MAX; i++)
        linkSync(join(folder, 'few/one'), join(folder, 'many', `${i}`));
    },
    `local count = 0
     for name in assert(files.list('many')) do count = count + 1 end
     show(count)
     for name in assert(files.list('few')) do break end
     files.touch('many/more')
     local _, message, code = files.list('many')
     show(message)
     show(code)`,
  );
  assert.equal(
    output,
    `${DIRECTORY_ENTRIES_MAX}\nCannot list "many": the directory has more entries than the limit of ${DIRECTORY_ENTRIES_MAX} for one list\nlimit\n`,
  );
});

test('httpd.files works where Lua cannot suspend', async () => {
  const output = await outputIn(
    (folder) => writeFileSync(join(folder, 'a'), 'xyz'),
    `local t = {2, 1}
     table.sort(t, function(a, b)
       files.mkdir('made')
       show(files.stat('a').size, (files.list('made')) ~= nil)
       return a < b
     end)
     show(files.touch('b'), files.remove('made'))`,
  );
  assert.match(output, /^3 true\n(3 true\n)*true true\n$/);
});

test("require 'lfs' gives LuaFileSystem's functions", async () => {
  const output = await outputIn(
    (folder) => {
      mkdirSync(join(folder, 'd'));
      writeFileSync(join(folder, 'd/a'), 'abc', { mode: 0o640 });
      symlinkSync('a', join(folder, 'd/l'));
    },
    `local lfs = require 'lfs'
     show(lfs.attributes('d/a', 'mode'), lfs.attributes('d/a', 'size'), lfs.attributes('d/a').permissions)
     show(lfs.attributes('d').mode, lfs.symlinkattributes('d/l', 'mode'), lfs.attributes('d/l', 'mode'))
     show((select(2, lfs.attributes('none'))))
     local names = {}
     for name in lfs.dir('d') do names[#names + 1] = name end
     table.sort(names)
     show(table.concat(names, ' '))
     show(pcall(lfs.dir, 'none'))
     show(lfs.mkdir('d/e'), lfs.rmdir('d/e'), (select(3, lfs.rmdir('d/a'))))
     show(lfs.touch('d/a', 100, 200), lfs.attributes('d/a', 'access'), lfs.attributes('d/a', 'modification'))
     show((lfs.chdir('d')), lfs.currentdir())
     show(pcall(lfs.attributes, 'd', 'colour'))
     local list, directory = lfs.dir('d')
     directory:close()
     show(pcall(list, directory))`,
  );
  const lines = output.split('\n');
  assert.deepEqual(lines.slice(0, 4), [
    'file 3 rw-r-----',
    'directory link file',
    "cannot obtain information from file 'none': No such file or directory",
    '. .. a l',
  ]);
  assert.match(lines[4] as string, /^false cannot open none: No such file or directory$/);
  assert.deepEqual(lines.slice(5, 8), ['true true 20', 'true 100 200', 'nil /']);
  assert.match(lines[8] as string, /^false .*invalid attribute name 'colour'$/);
  assert.deepEqual(lines.slice(9), ["false bad argument #1 to '?' (closed directory)", '']);
});
