/** A path prefix and the folder behind it: the files below are the answers to GET and HEAD. */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { FileError } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import { OperationOwner } from '../file/operation-queue.ts';
import { errnoOf } from '../file/strerror.ts';
import { answerMethod } from '../http/exchange/answer-method.ts';
import { respondWithError } from '../http/exchange/error-response.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Mapping, Route } from '../http/exchange/handler.ts';
import { preferredCodings } from '../http/semantics/accept-encoding.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import { type Representation, strongTag } from '../http/semantics/representation.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import type { Share } from '../mapping/shares.ts';
import { type Candidate, FileAnswer, type FileSent, fileFields } from './file-answer.ts';
import { folderLocation, isHidden } from './static-path.ts';

interface StaticMappingOptions extends OfPlace {
  /** Name of the folder, a byte string. */
  readonly folder: string;
  readonly fileSystem: FileSystem;
  readonly share: Share;
  readonly logger: Logger;
}

/** The ending of a precompressed form, and its coding; of codings that a client likes alike the first is taken. */
const ENDINGS = { br: '.br', zstd: '.zst', gzip: '.gz' } as const;
const CODINGS = ['br', 'zstd', 'gzip'] as const;
const INDEX = 'index.html';
/** A file is what its type says, whatever a browser finds in it. */
const HEADERS = ['x-content-type-options', 'nosniff'] as const;
const ALLOW = 'GET, HEAD, OPTIONS';

/** A mapping whose folder is there. Errors: LGW_FOLDER. */
export function loadStaticMapping(options: StaticMappingOptions): Promise<StaticMapping> {
  const { folder, fileSystem } = options;
  return new Promise((resolve, reject) => {
    fileSystem.stat(folder, (error, facts) => {
      if (facts?.isDirectory === true) resolve(new StaticMapping(options));
      else {
        const why = error === undefined ? 'it is not a directory' : error.text;
        const name = JSON.stringify(Buffer.from(folder, 'latin1').toString());
        reject(new GatewayError('LGW_FOLDER', `Cannot serve the folder ${name}: ${why}`, { cause: error }));
      }
    });
  });
}

class StaticMapping implements Mapping, Handler {
  readonly host: string | undefined;
  readonly prefix: string;
  readonly answersAll = true;
  readonly #options: StaticMappingOptions;

  constructor(options: StaticMappingOptions) {
    this.host = options.host;
    this.prefix = options.prefix;
    this.#options = options;
  }

  find(_name: string): Handler {
    return this;
  }

  handle(exchange: Exchange, route: Route): void {
    const { method } = exchange;
    if (method === 'GET' || method === 'HEAD') {
      if (isHidden(route.handlerName)) respondWithError(exchange, 404);
      else this.#answer(exchange, route);
    } else answerMethod(exchange, method === 'OPTIONS' ? 204 : 405, ALLOW);
  }

  serve(): void {}

  /** Answers under way are those of exchanges, which end by themselves. */
  async retire(): Promise<void> {}

  close(): void {}

  #answer(exchange: Exchange, route: Route): void {
    const { folder, fileSystem, share } = this.#options;
    const path = route.handlerName;
    // the mapping itself is called `/` with and without the slash at its end
    if (!route.path.endsWith('/') && path === '/') {
      redirect(exchange, route);
      return;
    }
    const name = path.endsWith('/') ? path + INDEX : path;
    const owner = new OperationOwner(share);
    const answer = new FileAnswer({
      exchange,
      name,
      candidates: candidatesOf(name, fieldValue(exchange.fields, 'accept-encoding')),
      open: (candidate, done) => fileSystem.openBelow(folder, candidate, done, owner),
      describe,
      giveHead: (chosen) => {
        const fields = fileFields({ name, varies: true, headers: HEADERS }, chosen);
        exchange.head(chosen.selection.status, fields);
      },
      done: (sent) => this.#sent(exchange, route, sent),
    });
    exchange.onAbort = () => answer.cancel();
    answer.start();
  }

  #sent(exchange: Exchange, route: Route, sent: FileSent): void {
    if (!('code' in sent)) exchange.end();
    else if (exchange.headGiven) {
      // a client that has gone is no fault of the file
      if (sent.code === 'LGW_FILE') this.#warn(sent);
      exchange.reset();
    } else this.#refuse(exchange, route, sent as FileError);
  }

  /** What cannot be had looks as if it were not there, but for faults of the machine. */
  #refuse(exchange: Exchange, route: Route, error: FileError): void {
    if (error.errno === errnoOf('EISDIR') && !route.path.endsWith('/')) redirect(exchange, route);
    else if (error.luaCode === 'limit') respondWithError(exchange, 503);
    else if (error.errno === errnoOf('EIO')) {
      this.#warn(error);
      respondWithError(exchange, 500);
    } else respondWithError(exchange, 404);
  }

  #warn(error: GatewayError): void {
    this.#options.logger.warn('File not sent', {
      mapping: mappingName(this.#options),
      error: messageOf(error),
    });
  }
}

function redirect(exchange: Exchange, { path, query }: Route): void {
  respondWithError(exchange, 308, ['location', folderLocation(path, query)]);
}

function candidatesOf(name: string, accepted: string | undefined): readonly Candidate[] {
  const codings = preferredCodings(accepted, CODINGS);
  return [
    ...codings.map((coding) => ({ name: name + ENDINGS[coding], coding })),
    { name, coding: undefined },
  ];
}

/** Parts are given of the file itself only: what a client has of one form must not be continued with another. */
function describe(size: number, modifiedMs: number, coding: Candidate['coding']): Representation {
  const suffix = coding === undefined ? '' : `-${coding}`;
  return {
    size,
    modifiedMs,
    etag: strongTag(size, modifiedMs, suffix),
    ranges: coding === undefined,
  };
}
