/** What receivers of a log get: sizes, cuts, and values with line ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counted, journaldFrame, syslogRecord } from '../../src/supervisor/log-frames.ts';

const SYSLOG_BYTES_MAX = 8000;
const JOURNAL_BYTES_MAX = 160 * 1024;

test('A message of syslog is cut at 8000 bytes, and not within a character', () => {
  assert.equal(syslogRecord('x'.repeat(SYSLOG_BYTES_MAX)).length, SYSLOG_BYTES_MAX);
  assert.equal(syslogRecord('x'.repeat(SYSLOG_BYTES_MAX + 1)).length, SYSLOG_BYTES_MAX);
  const cut = syslogRecord(`x${'€'.repeat(SYSLOG_BYTES_MAX)}`);
  assert.equal(cut.length, 7999);
  assert.ok(!cut.toString().includes('\ufffd'));
});

test('A stream gets the size before the message, in bytes', () => {
  assert.equal(counted(syslogRecord)('é\n').toString(), '3 é\n');
});

test('journald: a value with line ends has its size before it', () => {
  const frame = journaldFrame('PRIORITY=6\x1fMESSAGE=é\nb=c\x1fA=');
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(6n);
  const parts = [Buffer.from('PRIORITY=6\nMESSAGE\n'), size, Buffer.from('é\nb=c\nA=\n')];
  assert.deepEqual(frame, Buffer.concat(parts));
});

test('journald: a datagram has room for what a socket takes; what does not fit is cut, and what is behind it left out', () => {
  const half = 'x'.repeat(JOURNAL_BYTES_MAX / 2);
  const frame = journaldFrame(`A=${half}\x1fB=${half}\x1fC=1`);
  assert.ok(frame.length <= JOURNAL_BYTES_MAX && frame.length > JOURNAL_BYTES_MAX - 64, `${frame.length}`);
  const [a = '', b = '', ...rest] = frame.toString().split('\n');
  assert.deepEqual([a.length, b.startsWith('B=xxx'), rest], [half.length + 2, true, ['']]);
});
