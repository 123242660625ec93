/** The lines of server-sent events, read back by the rules of WHATWG HTML §9.2.6. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatEvent } from '../../../src/http/semantics/event-stream.ts';
import { EventReader } from '../../support/event-reader.ts';

test('An event has a line for each field, and for each line of its data', () => {
  assert.equal(formatEvent({ data: 'one' }), 'data: one\n\n');
  assert.equal(
    formatEvent({ data: 'a\nb\r\nc\rd\n', event: 'news', id: '7', retryMs: 1500 }),
    'event: news\nid: 7\nretry: 1500\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n',
  );
  assert.equal(formatEvent({ data: '' }), 'data: \n\n');
  assert.equal(formatEvent({ id: '' }), 'id: \n\n');
});

test('NUL and line ends are refused in names and ids, whose next line they would forge', () => {
  for (const text of ['a\nb', 'a\rb', '\0', 'x\r\ndata: forged']) {
    assert.throws(() => formatEvent({ data: 'x', id: text }), /"id" of an event holds NUL, CR or LF/);
    assert.throws(() => formatEvent({ data: 'x', event: text }), /"event" of an event holds NUL, CR or LF/);
  }
});

test('What a client reads is the event that was given, whatever its data holds', () => {
  const part = fc.constantFrom(
    '\n',
    '\r',
    '\r\n',
    ':',
    ' ',
    'data: ',
    'id: 1',
    '\0',
    '\u00ef\u00bb\u00bf',
    'x',
  );
  const word = fc.string().map((text) => text.replace(/[\0\r\n]/g, ''));
  fc.assert(
    fc.property(fc.array(part), word, word, (parts, event, id) => {
      const data = parts.join('');
      const reader = new EventReader();
      reader.read(`${formatEvent({ data, event, id })}${formatEvent({ data: 'next' })}`);
      const [first, second] = reader.events;
      const seen = data.replace(/\r\n|\r/g, '\n');
      assert.deepEqual(first, { data: seen, event: event === '' ? 'message' : event, id });
      assert.equal(second?.data, 'next');
      assert.equal(reader.lastId, id);
    }),
  );
});
