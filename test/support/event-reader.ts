/** Reads an event stream as browsers do: WHATWG HTML §9.2.6, step by step, and apart from what the gateway writes. */

export interface ReadEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

export class EventReader {
  readonly events: ReadEvent[] = [];
  comments = 0;
  lastId = '';
  retryMs: number | undefined;
  #rest = '';
  #data = '';
  #event = '';
  #id = '';

  /** Takes the next piece of the stream. */
  read(piece: string): void {
    let text = this.#rest + piece;
    for (;;) {
      const end = /\r\n|\n|\r/.exec(text);
      // a CR at the end of a piece may be the first half of CRLF
      if (end === null || (end[0] === '\r' && end.index === text.length - 1)) break;
      this.#line(text.slice(0, end.index));
      text = text.slice(end.index + end[0].length);
    }
    this.#rest = text;
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    if (line.startsWith(':')) {
      this.comments += 1;
      return;
    }
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#event = value;
    else if (name === 'data') this.#data += `${value}\n`;
    else if (name === 'id' && !value.includes('\0')) this.#id = value;
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch(): void {
    this.lastId = this.#id;
    if (this.#data !== '')
      this.events.push({
        event: this.#event === '' ? 'message' : this.#event,
        data: this.#data.slice(0, -1),
        id: this.lastId,
      });
    this.#data = '';
    this.#event = '';
  }
}
