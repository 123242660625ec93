/** HAProxy and nginx in front of a server of a test, listening on sockets of the file system. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from './test-front-end.ts';

export interface ComparedProxy {
  readonly name: 'haproxy' | 'nginx';
  /** Where it listens. */
  readonly path: string;
}

export interface ComparedProxies {
  readonly proxies: readonly ComparedProxy[];
  close(): Promise<void>;
}

export async function startComparedProxies(backendPort: number): Promise<ComparedProxies> {
  const folder = mkdtempSync(join(tmpdir(), 'lgw-proxies-'));
  const [haproxy, nginx] = [join(folder, 'haproxy.sock'), join(folder, 'nginx.sock')];
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `defaults\n mode http\n timeout client 20s\n timeout server 20s\n timeout connect 5s\n retries 0\nfrontend f\n bind ${haproxy}\n default_backend b\nbackend b\n server s 127.0.0.1:${backendPort}\n`,
  );
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off;\npid ${folder}/nginx.pid;\nworker_processes 1;\nerror_log stderr crit;\nevents { worker_connections 64; }\nhttp {\n access_log off;\n` +
      ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((of) => ` ${of}_temp_path ${folder}/${of};\n`)
        .join('') +
      ` server { listen unix:${nginx}; location / { proxy_pass http://127.0.0.1:${backendPort}; proxy_http_version 1.1; proxy_request_buffering off; proxy_set_header Host $http_host; proxy_set_header Connection ""; } }\n}\n`,
  );
  const children: ChildProcess[] = [
    spawn('haproxy', ['-q', '-db', '-f', join(folder, 'haproxy.cfg')], { stdio: 'ignore' }),
    spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' }),
  ];
  await waitFor(() => existsSync(haproxy) && existsSync(nginx), 'both proxies to listen');
  return {
    proxies: [
      { name: 'haproxy', path: haproxy },
      { name: 'nginx', path: nginx },
    ],
    async close() {
      await Promise.all(
        children.map(
          (child) =>
            new Promise((resolve) => {
              child.once('exit', resolve);
              child.kill('SIGTERM');
            }),
        ),
      );
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Sends bytes and resolves with the first status line that comes; 0 = the connection ended without one. */
export function statusOf(
  to: { readonly path: string } | { readonly port: number },
  bytes: string,
): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect('path' in to ? { path: to.path } : { port: to.port, host: '127.0.0.1' });
    let text = '';
    const end = (): void => {
      socket.destroy();
      resolve(Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0));
    };
    socket.on('data', (chunk) => {
      text = (text + chunk.toString('latin1')).replace(/^HTTP\/1\.1 100 .*\r\n\r\n/, '');
      if (/^HTTP\/1\.[01] [2-5]\d\d[\s\S]*\r\n\r\n/.test(text)) end();
    });
    socket.on('error', () => undefined);
    socket.on('close', end);
    socket.write(bytes, 'latin1');
  });
}
