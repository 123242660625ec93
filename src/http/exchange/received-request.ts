/** The request of an exchange, as handlers see it. */
import { type Fields, withoutPseudoFields } from '../semantics/fields.ts';
import type { ExchangeConnection, Protocol, RequestIdentity } from './exchange.ts';
import type { RequestHead } from './request-head.ts';

export class ReceivedRequest {
  protected readonly request: RequestHead;
  #fields: Fields | undefined;

  constructor(request: RequestHead) {
    this.request = request;
  }

  get protocol(): Protocol {
    return this.request.protocol;
  }
  get method(): string {
    return this.request.method;
  }
  get target(): string {
    return this.request.target;
  }
  get scheme(): 'https' | 'http' {
    return this.request.scheme;
  }
  get authority(): string {
    return this.request.authority;
  }
  get fields(): Fields {
    this.#fields ??= withoutPseudoFields(this.request.fields);
    return this.#fields;
  }
  get connection(): ExchangeConnection {
    return this.request.connection;
  }
  get identity(): RequestIdentity {
    return this.request;
  }
  get pushed(): boolean {
    return this.request.pushed;
  }
}
