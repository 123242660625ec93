import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants, type IncomingHttpHeaders } from 'node:http2';
import { promisify } from 'node:util';
import type { Exchange } from '../../../src/http/exchange/exchange.ts';
import { calmTest as test } from '../../support/calm.ts';
import { collectH2, connectH2, fetchH2, type H2Response } from '../../support/h2-client.ts';
import { startFrontEnd, type TestFrontEnd } from '../../support/test-front-end.ts';

const run = promisify(execFile);

/**
 * Starts a front end whose /page promises /asset `count` times and answers with the number accepted. `late`: no push ends
 * before the page.
 */
async function startPusher(count: number, late = false): Promise<TestFrontEnd> {
  let nested = 0;
  const front = await startFrontEnd({
    '/page': (x) => {
      let taken = 0;
      for (let i = 0; i < count; i++) {
        const pushed = promise(x, `/asset?${i}`);
        if (pushed === undefined) continue;
        taken += 1;
        front.dispatcher.dispatch(pushed);
      }
      x.head(200, ['x-taken', String(taken), 'x-can-push', String(x.canPush)]);
      x.write(Buffer.from('page'));
      x.end();
    },
    '/asset': (x, route) => {
      if (x.canPush || promise(x, '/asset') !== undefined) nested += 1;
      x.head(200, ['x-nested', String(nested), 'x-ended', String(x.body.ended)]);
      x.write(Buffer.from(`asset ${route.query} ${x.fields.join(':')}`));
      if (late) setTimeout(() => x.end(), 50);
      else x.end();
    },
  });
  return front;
}

function promise(x: Exchange, target: string): Exchange | undefined {
  return x.push({
    method: 'GET',
    scheme: x.scheme,
    authority: x.authority,
    target,
    fields: ['Accept-Language', 'la'],
  });
}

test('Exchange.push() promises, and the pushed exchanges answer by themselves', async () => {
  const front = await startPusher(3);
  const session = await connectH2(front.port);
  const pushes: Promise<H2Response & { promise: IncomingHttpHeaders }>[] = [];
  session.on('stream', (stream, headers) => {
    stream.on('push', () => {});
    pushes.push(
      new Promise((resolve) => {
        let response: IncomingHttpHeaders = {};
        stream.on('push', (head) => {
          response = head;
        });
        collectH2(stream).then(
          (collected) => resolve({ ...collected, headers: response, promise: headers }),
          () => {},
        );
      }),
    );
  });
  const page = await fetchH2(session, { ':path': '/page' });
  strictEqual(page.headers['x-taken'], '3');
  const answers = await Promise.all(pushes);
  deepStrictEqual(
    answers.map((answer) => answer.body.toString()),
    ['asset 0 Accept-Language:la', 'asset 1 Accept-Language:la', 'asset 2 Accept-Language:la'],
  );
  for (const answer of answers) {
    strictEqual(answer.promise['accept-language'], 'la');
    strictEqual(answer.headers['x-nested'], '0');
    strictEqual(answer.headers['x-ended'], 'true');
  }
  strictEqual(front.counters.get('pushesTotal'), 3);
  session.destroy();
  await front.stop();
});

test('Exchange.push() gives nothing where the client has switched push off (21)', async () => {
  const front = await startPusher(2);
  const session = await connectH2(front.port, 'https', { settings: { enablePush: false } });
  // after the answer to the first request the settings have arrived
  await fetchH2(session, { ':path': '/asset' });
  const page = await fetchH2(session, { ':path': '/page' });
  strictEqual(page.headers['x-taken'], '0');
  strictEqual(page.headers['x-can-push'], 'false');
  session.destroy();
  const { stdout } = await run('curl', ['-sk', '--http1.1', '-i', `https://127.0.0.1:${front.port}/page`]);
  match(stdout, /x-taken: 0/);
  await front.stop();
});

test('Exchange.push() stops at the number of streams the client allows', async () => {
  const front = await startPusher(5, true);
  const session = await connectH2(front.port, 'https', { settings: { maxConcurrentStreams: 2 } });
  session.on('stream', (stream) => stream.on('error', () => {}).resume());
  await fetchH2(session, { ':path': '/asset' });
  const page = await fetchH2(session, { ':path': '/page' });
  strictEqual(page.headers['x-taken'], '2');
  session.destroy();
  await front.stop();
});

test('A refused push leaves its parent and the session alone', async () => {
  const front = await startPusher(2);
  const session = await connectH2(front.port);
  session.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  for (let i = 0; i < 3; i++) {
    const page = await fetchH2(session, { ':path': '/page' });
    strictEqual(page.body.toString(), 'page');
    strictEqual(page.rstCode, 0);
  }
  session.destroy();
  await front.stop();
});

test('nghttp receives the pushed answers', async () => {
  const front = await startPusher(2);
  const { stdout } = await run('nghttp', ['-nv', `https://127.0.0.1:${front.port}/page`]);
  strictEqual(stdout.match(/recv PUSH_PROMISE frame/g)?.length, 2);
  ok(stdout.match(/recv \(stream_id=2\) :status: 200/));
  ok(stdout.match(/recv \(stream_id=4\) :status: 200/));
  await front.stop();
});
