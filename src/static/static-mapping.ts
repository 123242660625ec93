/** A path prefix and the folder behind it: the files below are the answers to GET and HEAD. */
import { GatewayError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { nextRequestNumber, requestIdOf } from '../base/request-id.ts';
import { FileError, isAbsence } from '../file/file-error.ts';
import type { FileSystem } from '../file/file-system.ts';
import { errnoOf } from '../file/strerror.ts';
import { answerMethod } from '../http/exchange/answer-method.ts';
import { respondWithError } from '../http/exchange/error-response.ts';
import type { Exchange } from '../http/exchange/exchange.ts';
import type { Handler, Mapping, Route } from '../http/exchange/handler.ts';
import { fieldValue } from '../http/semantics/fields.ts';
import { mappingName, type OfPlace } from '../mapping/mapping-name.ts';
import type { Share } from '../mapping/shares.ts';
import type { StaticSettings } from '../mapping/static-settings.ts';
import { codingsOf } from './accepted-codings.ts';
import { CurrentFolder } from './current-folder.ts';
import type { Coding, FileSent } from './file-answer.ts';
import { sendContent, sendNotFound, streamFile } from './send-form.ts';
import type { StaticCache } from './static-cache.ts';
import { StaticEntry } from './static-entry.ts';
import { type FormParts, FRESH_MS, SMALL_BYTES_MAX, type StaticForm } from './static-form.ts';
import { type LookupDone, StaticLookup } from './static-lookup.ts';
import { folderLocation, isHidden } from './static-path.ts';

interface StaticMappingOptions extends OfPlace {
  /** Name of the folder, a byte string. */
  readonly folder: string;
  readonly settings: StaticSettings;
  readonly fileSystem: FileSystem;
  readonly share: Share;
  readonly cache: StaticCache;
  readonly logger: Logger;
  readonly workerId: number;
}

/** Answers for what is not there, as in many servers of static sites. */
const NOT_FOUND_PAGE = '/404.html';

const ALLOW = 'GET, HEAD, OPTIONS';

/** What the machine lacks for now. All other faults are 500. */
const SHORTAGES: ReadonlySet<number> = new Set(
  ['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM', 'ETIMEDOUT'].map(errnoOf),
);

/** A mapping whose folder is there. Errors: LGW_FOLDER. */
export function loadStaticMapping(options: StaticMappingOptions): Promise<StaticMapping> {
  const { folder: name, fileSystem, share, logger } = options;
  const folder = new CurrentFolder(name, fileSystem, share, (error) => {
    logger.warn('Folder not found', { mapping: mappingName(options), error: messageOf(error) });
  });
  return new Promise((resolve, reject) => {
    folder.find(performance.now(), (error) => {
      if (error === undefined) resolve(new StaticMapping(options, folder));
      else {
        const shown = JSON.stringify(Buffer.from(name, 'latin1').toString());
        reject(
          new GatewayError('LGW_FOLDER', `Cannot serve the folder ${shown}: ${error.text}`, { cause: error }),
        );
      }
    });
  });
}

class StaticMapping implements Mapping, Handler {
  readonly host: string | undefined;
  readonly prefix: string;
  readonly answersAll = true;
  readonly #options: StaticMappingOptions;
  readonly #parts: FormParts;
  readonly #entries = new Map<string, StaticEntry>();
  /** When the folder was seen to have no page of its own for what is not there. */
  #pageAbsentAt = Number.NEGATIVE_INFINITY;

  constructor(options: StaticMappingOptions, folder: CurrentFolder) {
    const { host, prefix, fileSystem, share, settings, cache } = options;
    this.host = host;
    this.prefix = prefix;
    this.#options = options;
    this.#parts = { folder, fileSystem, share, settings, loans: cache.loans };
  }

  find(_name: string): Handler {
    return this;
  }

  handle(exchange: Exchange, route: Route): void {
    const { method } = exchange;
    if (method !== 'GET' && method !== 'HEAD') {
      answerMethod(exchange, method === 'OPTIONS' ? 204 : 405, ALLOW);
      return;
    }
    const path = route.handlerName;
    // the mapping itself is called `/` with and without the slash at its end
    if (path === '/' && !route.path.endsWith('/')) {
      redirect(exchange, route);
      return;
    }
    const codings = codingsOf(fieldValue(exchange.fields, 'accept-encoding'));
    const entry = this.#entries.get(path);
    const form = entry?.formFor(codings, performance.now() - FRESH_MS);
    if (entry === undefined || form?.content === undefined) {
      // what is hidden has no entry
      if (entry === undefined && isHidden(path)) this.#refuse(exchange);
      else this.#search(exchange, route, entry ?? this.#newEntry(path), codings);
    } else {
      entry.isUsed = true;
      sendContent(exchange, form, form.content);
    }
  }

  serve(): void {}

  /** Answers under way are those of exchanges, which end by themselves. */
  async retire(): Promise<void> {
    this.close();
  }

  close(): void {
    for (const entry of [...this.#entries.values()]) this.#options.cache.drop(entry);
  }

  #newEntry(path: string): StaticEntry {
    const entry = new StaticEntry(path, this.#parts, this.#options.cache, this.#entries);
    this.#entries.set(path, entry);
    return entry;
  }

  #search(exchange: Exchange, route: Route, entry: StaticEntry, codings: readonly Coding[]): void {
    lookUp(exchange, entry, codings, (found) => {
      if (found instanceof FileError) this.#fail(exchange, found);
      else if (found.state === 'file') this.#send(exchange, found);
      else if (found.state === 'directory') redirect(exchange, route);
      else this.#refuse(exchange);
    });
  }

  /** With the folder's own page where it has a small one, else with that of the gateway. */
  #refuse(exchange: Exchange): void {
    const startedAt = performance.now();
    if (this.#pageAbsentAt >= startedAt - FRESH_MS) {
      respondWithError(exchange, 404);
      return;
    }
    const entry = this.#entries.get(NOT_FOUND_PAGE) ?? this.#newEntry(NOT_FOUND_PAGE);
    entry.isUsed = true;
    lookUp(exchange, entry, [], (found) => {
      const content = found instanceof FileError ? undefined : found.content;
      if (!(found instanceof FileError) && found.state === 'absent') this.#pageAbsentAt = startedAt;
      if (content === undefined || content.length > SMALL_BYTES_MAX) respondWithError(exchange, 404);
      else sendNotFound(exchange, NOT_FOUND_PAGE, content);
    });
  }

  #send(exchange: Exchange, form: StaticForm): void {
    if (form.content !== undefined) sendContent(exchange, form, form.content);
    else streamFile(exchange, form, this.#parts, (sent) => this.#sent(exchange, sent));
  }

  #sent(exchange: Exchange, sent: FileSent): void {
    if (!('code' in sent)) exchange.end();
    else if (!exchange.headGiven) this.#fail(exchange, sent as FileError);
    else {
      // a client that has gone is no fault of the file
      if (sent.code === 'LGW_FILE') this.#warn(exchange, sent);
      // a head that has not left yet gives way to the status
      exchange.reset(sent instanceof FileError ? statusOf(sent) : undefined);
    }
  }

  /** What cannot be had looks as if it were not there, but for faults of the machine. */
  #fail(exchange: Exchange, error: FileError): void {
    if (isAbsence(error)) {
      this.#refuse(exchange);
      return;
    }
    this.#warn(exchange, error);
    exchange.reset(statusOf(error));
  }

  /** The log line and the page of the error have the same id. */
  #warn(exchange: Exchange, error: GatewayError): void {
    const { logger, workerId } = this.#options;
    exchange.answeredBy ??= { requestId: requestIdOf(workerId, nextRequestNumber()) };
    const request = exchange.answeredBy.requestId;
    logger.warn('File not sent', { mapping: mappingName(this.#options), request, error: messageOf(error) });
  }
}

function statusOf(error: FileError): 500 | 503 {
  return SHORTAGES.has(error.errno) ? 503 : 500;
}

/** Searches as long as the client waits for it. */
function lookUp(exchange: Exchange, entry: StaticEntry, codings: readonly Coding[], done: LookupDone): void {
  const lookup = new StaticLookup(entry, codings, (found) => {
    exchange.onAbort = undefined;
    done(found);
  });
  exchange.onAbort = () => lookup.cancel();
  lookup.start();
}

function redirect(exchange: Exchange, { path, query }: Route): void {
  respondWithError(exchange, 308, ['location', folderLocation(path, query)]);
}
