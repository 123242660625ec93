/** RFC 9113 §8.2, §8.3 and §8.5: the fields of a request, legal and malformed. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { expectUnreached, rule, serveRules } from '../../../support/conformance.ts';
import { CODE, dataFrame, type Field, headersFrame, requestFields } from '../../../support/h2-bytes.ts';
import type { StrictPeer } from '../../../support/strict-peer.ts';
import { FLAG, FRAME } from '../../../support/wire-client.ts';

serveRules();

/**
 * Declares a rule that a request with these fields is malformed: no handler gets it, and the connection stays usable or ends.
 */
function malformed(name: string, fields: readonly Field[]): void {
  rule(name, async (peer) => {
    peer.send(headersFrame(1, fields));
    await peer.expectMalformed(1);
    expectUnreached();
    expectUnreached('/fields');
    if (!peer.frames.some(({ type }) => type === FRAME.goaway)) await peer.expectServes(3);
  });
}

const withField = (name: string, value: string): Field[] => requestFields('/hello', [[name, value]]);
const without = (name: string): Field[] => requestFields('/hello').filter(([own]) => own !== name);
const changed = (name: string, value: string): Field[] =>
  requestFields('/hello').map(([own, old]): Field => [own, own === name ? value : old]);

async function seenFields(peer: StrictPeer, stream: number): Promise<string[]> {
  return JSON.parse((await peer.expectResponse(stream)).body) as string[];
}

// ---- §8.2.1 names and values ----

for (const name of ['X-Upper', 'xUpper', 'ACCEPT', 'x-last-uppeR'])
  malformed(`RFC 9113 §8.2.1: an upper-case name is malformed: ${name}`, withField(name, 'v'));
for (const [what, name] of [
  ['NUL', 'x\0y'],
  ['a line feed', 'x\ny'],
  ['a carriage return', 'x\ry'],
  ['a blank', 'x y'],
  ['a tab', 'x\ty'],
  ['DEL', 'x\x7fy'],
  ['an octet above 0x7f', 'x\x80y'],
  ['0xff', '\xff'],
  ['a colon', 'x:y'],
  ['a colon at its end', 'x-y:'],
] as const)
  malformed(`RFC 9113 §8.2.1: a name with ${what} is malformed`, withField(name, 'v'));
malformed('RFC 9113 §8.2.1: an empty name is malformed', withField('', 'v'));

for (const [what, value] of [
  ['NUL', 'a\0b'],
  ['a line feed', 'a\nb'],
  ['a carriage return', 'a\rb'],
  ['a line feed and a field', 'a\r\nx-smuggled: 1'],
] as const)
  malformed(`RFC 9113 §8.2.1: a value with ${what} is malformed`, withField('x-value', value));
for (const [what, value] of [
  ['begins with a blank', ' a'],
  ['begins with a tab', '\ta'],
  ['ends with a blank', 'a '],
  ['ends with a tab', 'a\t'],
  ['is a blank', ' '],
] as const)
  malformed(`RFC 9113 §8.2.1: a value that ${what} is malformed`, withField('x-value', value));

rule(
  'RFC 9113 §8.2.1: values may be empty, hold blanks and tabs inside, and octets above 0x7f',
  async (peer) => {
    const values: Field[] = [
      ['x-empty', ''],
      ['x-inside', 'a \t b'],
      ['x-high', 'caf\xe9 \xff'],
      ['x-colon', ':a:'],
    ];
    peer.get(1, '/fields', values);
    deepStrictEqual((await seenFields(peer, 1)).slice(4), values.flat());
  },
);

rule('RFC 9113 §8.2.1: every character of a token is legal in a name', async (peer) => {
  const name = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
  peer.get(1, '/fields', [[name, 'v']]);
  deepStrictEqual((await seenFields(peer, 1)).slice(4), [name, 'v']);
});

rule('RFC 9113 §8.2: repeated fields stay apart and in order', async (peer) => {
  peer.get(1, '/fields', [
    ['x-a', '1'],
    ['x-b', '2'],
    ['x-a', '3'],
  ]);
  deepStrictEqual((await seenFields(peer, 1)).slice(4), ['x-a', '1', 'x-b', '2', 'x-a', '3']);
});

// ---- §8.2.2 connection-specific fields ----

for (const [name, value] of [
  ['connection', 'keep-alive'],
  ['connection', ''],
  ['proxy-connection', 'keep-alive'],
  ['keep-alive', 'timeout=5'],
  ['transfer-encoding', 'chunked'],
  ['upgrade', 'h2c'],
  ['te', 'gzip'],
  ['te', 'trailers, deflate'],
  ['te', ''],
] as const)
  malformed(`RFC 9113 §8.2.2: "${name}: ${value}" is malformed`, withField(name, value));

rule('RFC 9113 §8.2.2: "te: trailers" is legal', async (peer) => {
  peer.get(1, '/fields', [['te', 'trailers']]);
  ok((await seenFields(peer, 1)).includes('trailers'));
});

rule('RFC 9113 §8.2.2: a response carries no connection-specific field', async (peer) => {
  peer.get(1, '/connection');
  const { fields } = await peer.expectResponse(1);
  deepStrictEqual(
    ['connection', 'keep-alive', 'upgrade', 'x-upper'].map((name) => fields.get(name)),
    [undefined, undefined, undefined, 'Yes'],
  );
});

// ---- §8.3 pseudo-header fields ----

malformed('RFC 9113 §8.3: an unknown pseudo-header field is malformed', [
  [':unknown', '1'],
  ...requestFields('/hello'),
]);
malformed('RFC 9113 §8.3: an empty pseudo-header name is malformed', [
  ...requestFields('/hello'),
  [':', '1'],
]);
malformed('RFC 9113 §8.3: a pseudo-header field of responses is malformed', [
  ...requestFields('/hello'),
  [':status', '200'],
]);
malformed('RFC 9113 §8.3: a pseudo-header field after a regular one is malformed', [
  ...without(':path'),
  ['x-regular', '1'],
  [':path', '/hello'],
]);
malformed('RFC 9113 §8.3: an upper-case pseudo-header field is malformed', [
  ...without(':method'),
  [':METHOD', 'GET'],
]);
for (const [name, value] of requestFields('/hello'))
  malformed(`RFC 9113 §8.3.1: ${name} twice is malformed`, [...requestFields('/hello'), [name, value]]);
malformed('RFC 9113 §8.3.1: a second :path after regular fields is malformed', [
  ...requestFields('/hello', [['x-regular', '1']]),
  [':path', '/fields'],
]);
for (const name of [':method', ':scheme', ':path'])
  malformed(`RFC 9113 §8.3.1: a request without ${name} is malformed`, without(name));
malformed('RFC 9113 §8.3.1: a request without pseudo-header fields is malformed', [['host', 'localhost']]);
malformed('RFC 9113 §8.3.1: an empty field block is malformed', []);
malformed('RFC 9113 §8.3.1: an empty :path is malformed', changed(':path', ''));
malformed('RFC 9113 §8.3.1: a :path that does not begin with "/" is malformed', changed(':path', 'hello'));
malformed('RFC 9113 §8.3.1: "*" as :path of anything but OPTIONS is malformed', changed(':path', '*'));
malformed('RFC 9113 §8.3.1: an empty :method is malformed', changed(':method', ''));
malformed('RFC 9113 §8.3.1: a :method that is no token is malformed', changed(':method', 'GE T'));
malformed('RFC 9113 §8.3.1: a :method with a line feed is malformed', changed(':method', 'GET\r\nX: 1'));
malformed('RFC 9113 §8.3.1: an empty :scheme is malformed', changed(':scheme', ''));
for (const [what, path] of [
  ['a blank', '/hel lo'],
  ['NUL', '/hello\0'],
  ['a line feed', '/hello\nx: 1'],
  ['DEL', '/hello\x7f'],
] as const)
  malformed(`RFC 9113 §8.2.1: a :path with ${what} is malformed`, changed(':path', path));
for (const [what, authority] of [
  ['a blank', 'local host'],
  ['a line feed', 'localhost\r\nx: 1'],
] as const)
  malformed(`RFC 9113 §8.2.1: an :authority with ${what} is malformed`, changed(':authority', authority));
malformed('RFC 9113 §8.3.1: an :authority with userinfo is malformed', changed(':authority', 'me@localhost'));
malformed(
  'RFC 9113 §8.3.1: a host that differs from :authority is malformed',
  requestFields('/hello', [['host', 'elsewhere']]),
);

rule('RFC 9113 §8.3.1: a host that is the same as :authority is legal', async (peer) => {
  peer.get(1, '/hello', [['host', 'localhost']]);
  await peer.expectResponse(1);
});

rule('RFC 9113 §8.3.1: a request without :authority is legal with host', async (peer) => {
  peer.send(
    headersFrame(1, [...requestFields('/fields').filter(([name]) => name !== ':authority'), ['host', 'h:1']]),
  );
  strictEqual((await seenFields(peer, 1))[2], 'h:1');
});

rule('RFC 9113 §8.3.1: pseudo-header fields may come in any order', async (peer) => {
  peer.send(headersFrame(1, requestFields('/fields').reverse()));
  deepStrictEqual((await seenFields(peer, 1)).slice(0, 4), ['GET', 'https', 'localhost', '/fields']);
});

rule('RFC 9113 §8.3.1: OPTIONS may ask for "*"', async (peer) => {
  peer.send(headersFrame(1, requestFields('*', [], 'OPTIONS')));
  const end = await peer.frame(({ type, stream }) => stream === 1 && type === FRAME.headers, 'an answer');
  ok(new Map(end.fields).has(':status'));
  await peer.expectAlive();
  peer.expectNone(FRAME.rstStream, 1);
});

rule('RFC 9110 §9.1: methods are case-sensitive, and unknown ones get 501', async (peer) => {
  peer.send(
    headersFrame(1, requestFields('/fields', [], 'get')),
    headersFrame(3, requestFields('/fields', [], 'X-1')),
    headersFrame(5, requestFields('/fields', [], 'PROPFIND')),
  );
  for (const id of [1, 3]) {
    const { fields } = await peer.frame(
      ({ type, stream }) => stream === id && type === FRAME.headers,
      'an answer',
    );
    strictEqual(new Map(fields).get(':status'), '501');
  }
  strictEqual((await seenFields(peer, 5))[0], 'PROPFIND');
});

// ---- §8.5 CONNECT ----

malformed('RFC 9113 §8.5: CONNECT with :path is malformed', [
  [':method', 'CONNECT'],
  [':authority', 'localhost:443'],
  [':path', '/hello'],
]);
malformed('RFC 9113 §8.5: CONNECT with :scheme is malformed', [
  [':method', 'CONNECT'],
  [':scheme', 'https'],
  [':authority', 'localhost:443'],
]);
malformed('RFC 9113 §8.5: CONNECT without :authority is malformed', [[':method', 'CONNECT']]);
malformed('RFC 8441 §4: CONNECT with :protocol is malformed without :path and :scheme', [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':authority', 'localhost:443'],
]);
malformed('RFC 8441 §4: :protocol is malformed without CONNECT', [
  ...requestFields('/hello'),
  [':protocol', 'websocket'],
]);

rule('RFC 8441 §5: an extended CONNECT whose handler opens no tunnel gets no success', async (peer) => {
  const fields: Field[] = [...requestFields('/hello', [], 'CONNECT')];
  fields.splice(1, 0, [':protocol', 'websocket']);
  peer.send(headersFrame(1, fields, FLAG.endHeaders));
  const answer = await peer.frame(({ type, stream }) => stream === 1 && type === FRAME.headers, 'an answer');
  strictEqual(new Map(answer.fields).get(':status'), '501');
  await peer.expectAlive();
});

rule('RFC 9113 §8.5: a CONNECT nobody serves gets an answer and no tunnel', async (peer) => {
  const fields: Field[] = [
    [':method', 'CONNECT'],
    [':authority', 'localhost:443'],
  ];
  peer.send(headersFrame(1, fields, FLAG.endHeaders));
  const answer = await peer.frame(({ type, stream }) => stream === 1 && type === FRAME.headers, 'an answer');
  ok(Number(new Map(answer.fields).get(':status')) >= 400);
  await peer.expectAlive();
});

// ---- §8.1 with a body under way ----

rule('RFC 9113 §8.1.1: a malformed request whose body is under way never reaches a handler', async (peer) => {
  const fields = requestFields('/size', [['x-Upper', '1']], 'POST');
  peer.send(headersFrame(1, fields, FLAG.endHeaders), dataFrame(1, 'body', FLAG.endStream));
  await peer.expectMalformed(1);
  expectUnreached('/size');
});

rule('RFC 9113 §8.1.1: the error of a malformed request is PROTOCOL_ERROR', async (peer) => {
  peer.send(headersFrame(1, withField('connection', 'close')));
  await peer.expectStreamError(1, CODE.protocolError);
});
