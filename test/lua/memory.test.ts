import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LuaError } from '../../src/lua/lua-error.ts';
import type { CString } from '../../src/lua/lua-exports.ts';
import { ScriptError } from '../../src/lua/state.ts';
import { LuaWorld } from '../support/lua-world.ts';

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1');

test('Memory reads and writes on after the VM has grown it', async () => {
  const { state } = await LuaWorld.create();
  const { memory, mainThread: L, exports: x } = state;
  state.pushString(L, 'stays');
  const at = x.lua_tolstring(L, -1, memory.sizeOut);
  const before = memory.heap;
  const size = memory.size;
  memory.setWord(memory.sizeOut, 5);
  state.pushBytes(L, new Uint8Array(24 * 1024 * 1024));
  assert.equal(before.length, 0, 'the old view is detached');
  assert(memory.size > size);
  assert.equal(memory.readString(at, 5), 'stays');
  assert.equal(Buffer.from(memory.view(at, 5)).toString('latin1'), 'stays');
  assert.equal(x.lua_rawlen(L, -1), 24n * 1024n * 1024n);
});

for (const size of [0, 1, 23, 24, 25, 256, 64 * 1024, 64 * 1024 + 1, 128 * 1024, 17 * 1024 * 1024]) {
  test(`A byte string of ${size} bytes comes back as it was`, async () => {
    const { state } = await LuaWorld.create();
    const { mainThread: L, exports: x, memory } = state;
    const text = ALL_BYTES.repeat(Math.ceil(size / 256)).slice(0, size);
    state.pushString(L, text);
    // a longer one is read where it stands, and not made a text of JavaScript
    const isText = size <= 128 * 1024;
    if (isText) assert(state.toString(L, -1) === text);
    state.pushBytes(L, Buffer.from(text, 'latin1'));
    if (isText) assert(state.toString(L, -1) === text);
    assert.equal(x.lua_rawequal(L, -1, -2), 1);
    assert.equal(
      Buffer.from(memory.view(x.lua_tolstring(L, -1, memory.sizeOut), size)).equals(
        Buffer.from(text, 'latin1'),
      ),
      true,
    );
  });
}

test('Memory.constant() gives the same address for the same text', async () => {
  const { state } = await LuaWorld.create();
  const at: CString = state.memory.constant('a constant that is rather long, to be sure');
  state.pushBytes(state.mainThread, new Uint8Array(20 * 1024 * 1024));
  assert.equal(state.memory.constant('a constant that is rather long, to be sure'), at);
  assert.equal(state.memory.readString(at, 11), 'a constant ');
});

test('State.keep() and release() leave nothing behind', async () => {
  const { state } = await LuaWorld.create();
  const L = state.mainThread;
  const held = state.references;
  for (let round = 0; round < 3; round++) {
    const references = Array.from({ length: 1000 }, (_, i) => {
      state.pushInteger(L, i);
      return state.keep(L);
    });
    assert.equal(state.references, held + 1000);
    assert.equal(new Set(references).size, 1000);
    references.forEach((reference, i) => {
      state.pushReference(L, reference);
      assert.equal(state.toString(L, -1), String(i));
      state.pop(L);
      state.release(reference);
    });
    assert.equal(state.references, held);
  }
  assert.equal(state.exports.lua_gettop(L), 0);
});

test('What the system has no room for is a Lua error, and other errors of the system are defects', async () => {
  const world = await LuaWorld.create();
  const { state } = world;
  const throwing = (code: string) => () => {
    throw Object.assign(new Error(`${code}: too many, open '/a/file'`), { code });
  };
  const functions = state.addFunctions({ lacks: throwing('EMFILE'), breaks: throwing('EBADF') });
  for (const [name, pointer] of Object.entries(functions)) {
    state.exports.lua_pushcclosure(state.mainThread, pointer, 0);
    state.exports.lua_setglobal(state.mainThread, state.memory.constant(name));
  }
  assert.deepEqual(world.evaluate('return select(2, pcall(function() lacks() end))'), [
    'test:1: the system has no room for it: EMFILE',
  ]);
  assert.throws(() => world.evaluate('breaks()'), /EBADF/);
});

test('A host function raises LuaErrors with the position of their level', async () => {
  const world = await LuaWorld.create();
  const { state } = world;
  const functions = state.addFunctions({
    raise: (L) => {
      throw new LuaError('wrong', state.checkInteger(L, 1));
    },
    overflow: () => {
      throw new RangeError('too long');
    },
  });
  state.setFunctions(state.mainThread, -1_001_000, {});
  for (const [name, pointer] of Object.entries(functions)) {
    state.exports.lua_pushcclosure(state.mainThread, pointer, 0);
    state.exports.lua_setglobal(state.mainThread, state.memory.constant(name));
  }
  assert.deepEqual(
    world.evaluate(
      'local function f(n) raise(n) end\nreturn select(2, pcall(f, 0)), select(2, pcall(f, 1)), select(2, pcall(f, 2))',
    ),
    ['wrong', 'test:1: wrong', 'wrong'],
  );
  assert.deepEqual(
    world.evaluate('return select(2, pcall(function() f = 1\n raise(1) end)), pcall(overflow)'),
    ['test:2: wrong', 'false', 'too long'],
  );
  assert.deepEqual(world.evaluate('return pcall(raise, {})'), [
    'false',
    "bad argument #1 to 'raise' (number expected, got table)",
  ]);
});

test('State.load() takes text only and names the place of an error', async () => {
  const { state } = await LuaWorld.create();
  const L = state.mainThread;
  assert.throws(
    () => state.load(L, Buffer.from('x = = 1'), '@script.lua'),
    /^ScriptError: script\.lua:1: unexpected symbol near '='$/,
  );
  assert.throws(() => state.load(L, Buffer.from('\x1bLua', 'latin1'), '@script.lua'), ScriptError);
  assert.equal(state.exports.lua_gettop(L), 0);
});

test('State.call() throws the error with a traceback and leaves the stack as it was', async () => {
  const { state } = await LuaWorld.create();
  const L = state.mainThread;
  state.load(L, Buffer.from(`local function f() error('at load') end\nf()`), '@script.lua');
  assert.throws(
    () => state.call(L, 0, 0),
    /^ScriptError: script\.lua:1: at load\nstack traceback:\n(.*\n)*\tscript\.lua:2: in main chunk$/,
  );
  assert.equal(state.exports.lua_gettop(L), 0);
});

test('A finaliser that runs while a chunk is compiled does not disturb its source', async () => {
  const world = await LuaWorld.create();
  const { state } = world;
  const { scribble } = state.addFunctions({
    scribble: (L) => {
      state.pushString(L, '= '.repeat(8_000));
      return 0;
    },
  });
  const L = state.mainThread;
  state.exports.lua_pushcclosure(L, scribble, 0);
  state.exports.lua_setglobal(L, state.memory.constant('scribble'));
  world.evaluate(`collectgarbage('setpause', 1) collectgarbage('setstepmul', 400)
    local mt = {} mt.__gc = function() scribble() setmetatable({}, mt) end
    for i = 1, 5 do setmetatable({}, mt) end`);
  const lines = Array.from({ length: 300 }, (_, i) => `local v${i % 150} = 'a string of its own ${i}'`);
  for (let i = 0; i < 5; i++) {
    state.load(L, Buffer.from(`do ${lines.join(' end do ')} end return ${i}`), '=long');
    state.call(L, 0, 1);
    assert.equal(state.toString(L, -1), String(i));
    state.pop(L);
  }
});
