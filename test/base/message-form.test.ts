/** The forms of messages of the log: what each says, and that nothing a message has in it forges a line, a field or a head. */
import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { LOG_LEVELS, type LogFields } from '../../src/base/logger.ts';
import { type MessageForm, messageFormatter, TEXT_FORM } from '../../src/base/message-form.ts';

const AT = new Date('2026-01-02T03:04:05.678Z');
const FIELDS: LogFields = { mapping: '/app', request: 'k3v9-1-2', limit: undefined };
/** Line ends, a colour, the separator of fields, a quotation mark, half of a pair and what is not ASCII. */
const HOSTILE = 'a\n<30>1 b\r\n\x1b[31m\x1fMESSAGE=c"\\\0\ud800é\u2028';

function form(of: Partial<MessageForm>, message: string, fields?: LogFields, source = 'worker-2'): string {
  return messageFormatter({ ...TEXT_FORM, ...of })(AT, 'warn', source, message, fields);
}

test('text says time, level, source, message and fields', () => {
  assert.equal(
    form({}, 'Out of luck', FIELDS),
    '2026-01-02T03:04:05.678Z warn worker-2 Out of luck mapping=/app request=k3v9-1-2',
  );
});

test('pino and json are objects; the thread is a number, and the id has the name of the access log', () => {
  const rest = { source: 'worker-2', worker: 2, msg: 'Out of luck', mapping: '/app', request_id: 'k3v9-1-2' };
  const pino = form({ format: 'pino' }, 'Out of luck', FIELDS);
  assert.deepEqual(JSON.parse(pino), {
    level: 40,
    time: AT.getTime(),
    pid: process.pid,
    hostname: hostname(),
    ...rest,
  });
  const json = form({ format: 'json' }, 'Out of luck', FIELDS);
  assert.deepEqual(JSON.parse(json), { level: 'warn', time: AT.toISOString(), ...rest });
  assert.ok(!('worker' in JSON.parse(form({ format: 'json' }, 'x', {}, 'supervisor'))));
  const write = messageFormatter({ format: 'pino', receiver: 'lines' });
  assert.deepEqual(
    LOG_LEVELS.map((level) => JSON.parse(write(AT, level, 's', '')).level),
    [50, 40, 30, 20],
  );
});

test('What a message has in it stays in it: one line of JSON, which reads as the same text', () => {
  for (const format of ['pino', 'json'] as const) {
    const line = form({ format }, HOSTILE, { 'odd "name"\n': HOSTILE });
    assert.ok(!Buffer.from(line).some((byte) => byte < 0x20), line);
    const read = JSON.parse(Buffer.from(line).toString());
    assert.equal(read.msg, HOSTILE);
    assert.equal(read['odd "name"\n'], HOSTILE);
  }
});

test('A field takes no name that the object has, values without JSON are texts, and there are 64 at most', () => {
  const odd = {
    msg: 'x',
    level: 1,
    big: 2n,
    none: Number.NaN,
    yes: true,
    nothing: null,
  } as unknown as LogFields;
  const read = JSON.parse(form({ format: 'json' }, 'm', odd));
  assert.equal(read.msg, 'm');
  assert.equal(read.level, 'warn');
  const { msg_, level_, big, none, yes, nothing } = read;
  assert.deepEqual([msg_, level_, big, none, yes, nothing], ['x', 1, '2', 'NaN', true, 'null']);
  const pids = (format: 'pino' | 'json', pid: number): unknown[] => {
    const { pid: own, pid_: other } = JSON.parse(form({ format }, 'm', { pid }));
    return [own, other];
  };
  assert.deepEqual(pids('pino', process.pid), [process.pid, undefined]);
  assert.deepEqual(pids('pino', 1), [process.pid, 1]);
  assert.deepEqual(pids('json', 1), [1, undefined]);
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`f${i}`, i]));
  const names = Object.keys(JSON.parse(form({ format: 'json' }, 'm', many)));
  assert.deepEqual([names.includes('f63'), names.includes('f64')], [true, false]);
});

test('Long messages and values are cut, and say by how much', () => {
  const long = 'x'.repeat(64 * 1024 + 1);
  const read = JSON.parse(form({ format: 'pino' }, long, { value: long }));
  assert.match(read.msg, /x… \(1 bytes more\)$/);
  assert.match(read.value, /x… \(32769 bytes more\)$/);
  assert.equal(JSON.parse(form({ format: 'pino' }, 'x'.repeat(64 * 1024))).msg.length, 64 * 1024);
});

test('syslog has the severity of the level, and one line', () => {
  const head = new RegExp(
    `^<(\\d+)>1 2026-01-02T03:04:05\\.678Z [!-~]+ lgateway ${process.pid} log - (.*)$`,
    's',
  );
  const write = messageFormatter({ format: 'text', receiver: 'syslog' });
  assert.deepEqual(
    LOG_LEVELS.map((level) => head.exec(write(AT, level, 'worker-2', 'Out of luck', FIELDS))?.slice(1)),
    ['27', '28', '30', '31'].map((n) => [n, 'worker-2 Out of luck mapping=/app request=k3v9-1-2']),
  );
  assert.equal(head.exec(form({ receiver: 'syslog' }, 'a\nb\x1b'))?.[2], 'worker-2 a\\x0a    b\\x1b');
  const [, , text = ''] = head.exec(form({ receiver: 'syslog', format: 'json' }, HOSTILE)) ?? [];
  assert.equal(JSON.parse(text).msg, HOSTILE);
});

test('journald gets a field for each, and none that a message has made up', () => {
  const fields = form({ receiver: 'journald' }, HOSTILE, { request: 'a\x1fPRIORITY=0', 'odd name=': 1 });
  assert.deepEqual(fields.split('\x1f'), [
    'SYSLOG_IDENTIFIER=lgateway',
    'PRIORITY=4',
    'MESSAGE=a\n    <30>1 b\\x0d\n    \\x1b[31m\\x1fMESSAGE=c"\\\\x00\ud800é\u2028',
    'LGATEWAY_SOURCE=worker-2',
    'LGATEWAY_REQUEST_ID=a\\x1fPRIORITY=0',
    'LGATEWAY_ODD_NAME_=1',
  ]);
});
