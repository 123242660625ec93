/** Answers ACME challenges over TLS and HTTP by itself, where a test is about the client and not about the gateway. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSecureContext, createServer } from 'node:tls';
import type { ChallengeHost } from '../../src/acme/challenges.ts';
import type { ChallengeAnswer } from '../../src/tls/challenge-answer.ts';

export interface ChallengeServer extends ChallengeHost {
  readonly tlsPort: number;
  readonly httpPort: number;
  /** Each list of answers that was given, in order. */
  readonly given: readonly (readonly ChallengeAnswer[])[];
  stop(): Promise<void>;
}

export async function startChallengeServer(): Promise<ChallengeServer> {
  const given: (readonly ChallengeAnswer[])[] = [];
  const current = (): readonly ChallengeAnswer[] => given.at(-1) ?? [];
  const tls = createServer({
    ALPNCallback: ({ protocols }) => (protocols.includes('acme-tls/1') ? 'acme-tls/1' : undefined),
    SNICallback: (name, callback) => {
      const answer = current().find((one) => one.type === 'tls-alpn-01' && one.name === name);
      const isFound = answer?.type === 'tls-alpn-01';
      callback(
        null,
        isFound ? createSecureContext({ cert: answer.certificate, key: answer.key }) : undefined,
      );
    },
  });
  tls.on('secureConnection', (socket) => socket.on('error', () => {}).end());
  tls.on('tlsClientError', () => {});
  const http = createHttpServer((request, response) => {
    const token = request.url?.replace('/.well-known/acme-challenge/', '');
    const answer = current().find((one) => one.type === 'http-01' && one.token === token);
    response.end(answer?.type === 'http-01' ? answer.content : '');
  });
  for (const server of [tls, http]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  return {
    tlsPort: (tls.address() as AddressInfo).port,
    httpPort: (http.address() as AddressInfo).port,
    given,
    answer: (answers) => {
      given.push(answers);
      return Promise.resolve();
    },
    stop: async () => {
      http.closeAllConnections();
      await Promise.all([tls, http].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
