/** Honest clients that ask a question at a time, over one connection of HTTP/2 or HTTP/1.1 as long as it lives. */
import { type ClientHttp2Session, connect } from 'node:http2';
import { Agent, request } from 'node:https';
import { type Conversation, Cut, Refused } from '../bystander.ts';

/** Where the gateway is, and whom to trust. */
export interface Place {
  readonly port: number;
  readonly ca: string;
}

/** The question with the number `count`, and its answer. */
export interface Question {
  readonly path: (count: number) => string;
  readonly answer: (count: number) => string;
  /** To answer it may take a descriptor. */
  readonly needsDescriptor: boolean;
}

/** Not the address of those who misbehave. */
export const HONEST_ADDRESS = '127.0.0.2';

function check(status: number, text: string, { answer, needsDescriptor }: Question, count: number): void {
  const wanted = answer(count);
  if (status === 200 && text === wanted) return;
  if (status === 503 && needsDescriptor) throw new Refused('503');
  throw new Error(
    `${status} ${JSON.stringify(text.slice(0, 80))}, not ${JSON.stringify(wanted.slice(0, 40))}`,
  );
}

export class Http2Asker implements Conversation {
  readonly name: string;
  readonly #place: Place;
  readonly #question: Question;
  #session: ClientHttp2Session | undefined;

  constructor(name: string, place: Place, question: Question) {
    this.name = name;
    this.#place = place;
    this.#question = question;
  }

  step(count: number): Promise<void> {
    const session = this.#connected();
    return new Promise((resolve, reject) => {
      const cut = (error?: Error): void => reject(new Cut(error?.message ?? 'the stream has gone'));
      const stream = session.request({ ':path': this.#question.path(count) });
      let status = 0;
      let text = '';
      let isWhole = false;
      stream.setEncoding('latin1');
      stream.on('response', (head) => {
        status = Number(head[':status']);
      });
      stream.on('data', (piece: string) => {
        text += piece;
      });
      stream.on('end', () => {
        isWhole = true;
      });
      stream.on('error', cut);
      stream.on('close', () => {
        if (!isWhole || stream.rstCode !== 0 || status === 0) return cut();
        try {
          resolve(check(status, text, this.#question, count));
        } catch (error) {
          reject(error);
        }
      });
      stream.end();
    });
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  /** A session that was told GOAWAY takes no more requests. */
  #connected(): ClientHttp2Session {
    const { port, ca } = this.#place;
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      const options = { ca, servername: 'localhost', localAddress: HONEST_ADDRESS };
      const session = connect(`https://127.0.0.1:${port}`, options);
      session.on('error', () => undefined);
      session.on('goaway', () => {
        if (this.#session === session) this.#session = undefined;
        session.close();
      });
      this.#session = session;
    }
    return this.#session;
  }
}

export class Http1Asker implements Conversation {
  readonly name: string;
  readonly #place: Place;
  readonly #question: Question;
  #agent: Agent | undefined;

  constructor(name: string, place: Place, question: Question) {
    this.name = name;
    this.#place = place;
    this.#question = question;
  }

  step(count: number): Promise<void> {
    const { port, ca } = this.#place;
    this.#agent ??= new Agent({ keepAlive: true, maxSockets: 1 });
    const agent = this.#agent;
    return new Promise((resolve, reject) => {
      const cut = (error: Error): void => reject(new Cut(error.message));
      const address = { host: '127.0.0.1', servername: 'localhost', localAddress: HONEST_ADDRESS, port, ca };
      const call = request({ ...address, agent, path: this.#question.path(count) }, (response) => {
        let text = '';
        response.setEncoding('latin1');
        response.on('data', (piece: string) => {
          text += piece;
        });
        response.on('error', cut);
        response.on('end', () => {
          try {
            resolve(check(response.statusCode ?? 0, text, this.#question, count));
          } catch (error) {
            reject(error);
          }
        });
      });
      call.on('error', cut);
      call.end();
    });
  }

  close(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }
}
