/** Asks an authority over HTTP, within bounds of time and size. */
import { GatewayError, messageOf } from '../base/errors.ts';

/** From the first byte sent to the last one received. */
const FETCH_TIME_MS = 10_000;
/** A response with the certificate of a responder has some 2 KiB. It goes into each handshake that asks for it. */
const RESPONSE_BYTES_MAX: number = 16 * 1024;
const STATUS_OK = 200;

/** Resolves to what the authority has answered, as it came; leads nowhere else. Errors: LGW_OCSP. */
export async function fetchOcsp(url: URL, body: Buffer, stop: AbortSignal): Promise<Buffer> {
  // at a start nobody asks
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void =>
      reject(new GatewayError('LGW_OCSP', `"${url.href}" gives no OCSP response: ${reason}`));
    const call = request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/ocsp-request', 'content-length': body.length },
      agent: false,
      signal: AbortSignal.any([stop, AbortSignal.timeout(FETCH_TIME_MS)]),
    });
    call.on('error', (error) =>
      fail(
        error.name === 'TimeoutError' || error.name === 'AbortError'
          ? `none came within ${FETCH_TIME_MS} ms`
          : messageOf(error),
      ),
    );
    call.on('response', (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('error', (error) => fail(messageOf(error)));
      response.on('data', (part: Buffer) => {
        size += part.length;
        parts.push(part);
        if (size <= RESPONSE_BYTES_MAX) return;
        fail(`it is longer than ${RESPONSE_BYTES_MAX} bytes`);
        call.destroy();
      });
      response.on('end', () => {
        if (response.statusCode === STATUS_OK) resolve(Buffer.concat(parts));
        else fail(`the status is ${response.statusCode}`);
      });
    });
    call.end(body);
  });
}
