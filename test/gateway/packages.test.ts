/** What is loaded when a script first needs it, in the worker's bundle: tokens, cookies, negotiation and libraries to require. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { askSession, TestGateway } from '../support/test-gateway.ts';

test('A worker signs tokens, reads cookies, negotiates and keeps sessions, and writes nothing about it', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const gateway = await TestGateway.start({
    '/': `local httpd = require 'httpd'
local sessions = require 'lgateway.session'.new{keys = {('k'):rep(32)}}
httpd.register_handler('/all', function(env, header)
    local secret = ('s'):rep(32)
    local token = assert(httpd.jwt.sign({sub = 'ann'}, secret, {alg = 'HS256'}))
    local signed = assert(httpd.jwt.sign({sub = 'bob'}, [[${pem}]], {alg = 'EdDSA'}))
    local said = {
        assert(httpd.jwt.verify(token, secret, {alg = 'HS256'})).sub,
        assert(httpd.jwt.verify(signed, [[${pem}]], {alg = 'EdDSA'})).sub,
        httpd.cookies().theme, httpd.accepts{'text/html', 'text/plain'},
    }
    httpd.header{[':status'] = 200, ['set-cookie'] = assert(sessions:open():save())}
    httpd.write(nil, table.concat(said, ' '))
end)`,
  });
  try {
    const session = await gateway.session();
    const { text, headers, status } = await askSession(session, '/all', {
      headers: { cookie: 'theme=dark', accept: 'text/plain' },
    });
    assert.equal(status, 200, gateway.log);
    assert.equal(text, 'ann bob dark text/plain');
    assert.match(
      headers['set-cookie'] ?? '',
      /^__Host-session=[\w-]+; Max-Age=1800; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
    assert.doesNotMatch(gateway.log, /warning/i);
    session.destroy();
  } finally {
    await gateway.stop();
  }
});
