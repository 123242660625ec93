/** A client of the fleet on an address of loopback that it chooses: a connection for each request, or one that is kept. */

import type { IncomingHttpHeaders } from 'node:http';
import { type Agent, get } from 'node:https';

export interface FleetAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface FleetRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** Its address; any of 127.0.0.0/8. */
  readonly from?: string;
  readonly agent?: Agent;
}

/** Rejects when the connection fails. */
export function askFleet(
  port: number,
  path: string,
  { headers = {}, from, agent }: FleetRequest = {},
): Promise<FleetAnswer> {
  const options = {
    ...{ host: '127.0.0.1', port, path, headers, rejectUnauthorized: false, agent: agent ?? false },
    ...(from === undefined ? {} : { localAddress: from }),
  };
  return new Promise((resolve, reject) => {
    get(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
    }).on('error', reject);
  });
}
