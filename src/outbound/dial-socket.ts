/** Makes one connection over TCP or a unix socket, with or without TLS, within a time. */
import { isIP, type LookupFunction, connect as netConnect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import { GatewayError } from '../base/errors.ts';
import type { FetchTls } from './fetch-request.ts';
import { socketErrorOf, socketFailure } from './socket-error.ts';
import { placeOf, type SocketRequest } from './socket-request.ts';

/**
 * Calls `done` once, never before it returns, unless the result is called, which gives the connection up. The socket has a listener for
 * errors. `lookup`: finds the addresses of a host, each of which may be connected to.
 */
export function dialSocket(
  request: SocketRequest,
  lookup: LookupFunction | undefined,
  done: (result: Socket | GatewayError) => void,
): () => void {
  const { connectMs } = request.timeouts;
  const place = placeOf(request);
  let socket: Socket;
  try {
    socket = openSocket(request, lookup);
  } catch (error) {
    // a certificate or key that is none
    const failure = socketErrorOf('connect to', place, error);
    const immediate = setImmediate(() => done(failure));
    return () => clearImmediate(immediate);
  }
  const event = request.tls === undefined ? 'connect' : 'secureConnect';
  const leave = (): void => {
    clearTimeout(timer);
    socket.off(event, onConnect).off('error', onError).off('close', onClose);
  };
  const finish = (result: Socket | GatewayError): void => {
    leave();
    if (result instanceof GatewayError) socket.destroy();
    done(result);
  };
  const onConnect = (): void => {
    socket.setNoDelay(true);
    finish(socket);
  };
  const onError = (error: Error): void => finish(socketErrorOf('connect to', place, error));
  // of a TLS connection that ends in the handshake
  const onClose = (): void =>
    finish(socketFailure('closed', 'connect to', place, 'the other side has closed the connection'));
  const timer = setTimeout(
    () => finish(socketFailure('timeout', 'connect to', place, `no connection after ${connectMs / 1000} s`)),
    connectMs,
  );
  socket.on(event, onConnect).on('error', onError).on('close', onClose).on('error', ignore);
  return () => {
    leave();
    socket.destroy();
  };
}

function openSocket({ target, tls }: SocketRequest, lookup: LookupFunction | undefined): Socket {
  // the other side may end its direction first, and still wants to hear what the script has to say
  const where = { ...target, allowHalfOpen: true, ...(lookup === undefined ? {} : { lookup }) };
  return tls === undefined
    ? netConnect(where)
    : tlsConnect({ ...where, ...tlsOptions(tls, 'host' in target ? target.host : undefined) });
}

function tlsOptions(
  { verify, ca, cert, key, servername }: FetchTls,
  host: string | undefined,
): ConnectionOptions {
  // an address is no name to ask for (RFC 6066 §3)
  const name = servername ?? (host === undefined || isIP(host) !== 0 ? undefined : host);
  return {
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(name === undefined ? {} : { servername: name }),
  };
}

function ignore(): void {
  // whoever uses the socket hears of its end by `close`
}
