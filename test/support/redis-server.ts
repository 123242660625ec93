/** A server that speaks the part of Redis' protocol (RESP 2) that tests use: PING, ECHO, SET, GET, AUTH, SUBSCRIBE, QUIT. */
import type { Socket } from 'node:net';

const text = (value: string): string => `$${value.length}\r\n${value}\r\n`;
const list = (...values: readonly string[]): string => `*${values.length}\r\n${values.join('')}`;

/** Serves one connection; `values` are what all connections share. */
export function serveRedis(socket: Socket, values: Map<string, string>): void {
  let waiting = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    waiting += chunk.toString('latin1');
    for (let command = takeCommand(); command !== undefined; command = takeCommand())
      socket.write(answer(command), 'latin1');
  });

  function takeCommand(): readonly string[] | undefined {
    const [, countText, rest = ''] = /^\*(\d+)\r\n([\s\S]*)$/.exec(waiting) ?? [];
    if (countText === undefined) return undefined;
    const words: string[] = [];
    let left = rest;
    while (words.length < Number(countText)) {
      const [head = '', sizeText] = /^\$(\d+)\r\n/.exec(left) ?? [];
      const size = Number(sizeText);
      if (sizeText === undefined || left.length < head.length + size + 2) return undefined;
      words.push(left.slice(head.length, head.length + size));
      left = left.slice(head.length + size + 2);
    }
    waiting = left;
    return words;
  }

  function answer([name = '', key = '', value = '']: readonly string[]): string {
    switch (name.toUpperCase()) {
      case 'PING':
        return '+PONG\r\n';
      case 'ECHO':
        return text(key);
      case 'SET':
        values.set(key, value);
        return '+OK\r\n';
      case 'GET':
        return values.has(key) ? text(values.get(key) as string) : '$-1\r\n';
      case 'AUTH':
        return key === 'secret' ? '+OK\r\n' : '-WRONGPASS invalid password\r\n';
      case 'SUBSCRIBE':
        return list(text('subscribe'), text(key), ':1\r\n') + list(text('message'), text(key), text('news'));
      case 'QUIT':
        socket.end('+OK\r\n');
        return '';
      default:
        return `-ERR unknown command '${name}'\r\n`;
    }
  }
}
