/** One request on its way through middleware to its route and back: who may answer, and what their mistakes come to. */
import { GatewayError, messageOf } from '../base/errors.ts';
import { describe } from './describe.ts';
import { changeableResponse, discardResponse, isResponse } from './light-response.ts';
import type { Answer, Next } from './route-types.ts';
import type { Layer, MatchedLayer, RouterScope } from './router-scope.ts';
import type { HandlerContext } from './web-handler.ts';

/** What stands in the middle. */
export interface Core {
  /** For messages: `The handler of "/users/{id}"`. */
  readonly title: string;
  readonly scope: RouterScope;
  readonly answer: (request: Request) => Answer;
}

export class Onion {
  readonly #layers: readonly MatchedLayer[];
  readonly #core: Core;
  readonly #context: HandlerContext;
  /** The error that no onError has answered: the middleware it passes on its way out need not try again. */
  #unanswered: { readonly error: unknown } | undefined;

  constructor(layers: readonly MatchedLayer[], core: Core, context: HandlerContext) {
    this.#layers = layers;
    this.#core = core;
    this.#context = context;
  }

  /** Rejects with an error that no onError has answered. */
  run(request: Request): Promise<Response> {
    return this.#step(0, request);
  }

  async #step(index: number, request: Request): Promise<Response> {
    const matched = this.#layers[index];
    try {
      const result: unknown = await (matched === undefined
        ? this.#core.answer(request)
        : this.#enter(index, matched, request));
      if (isResponse(result)) return result;
      throw matched === undefined
        ? new TypeError(`${this.#core.title} returned ${describe(result)} in the place of a Response`)
        : new GatewayError(
            'LGW_MIDDLEWARE',
            `${titleOf(matched.layer)} returned ${describe(result)} in the place of a Response: return what next() gives, or an answer`,
          );
    } catch (error) {
      return await this.#answerError(error, request, matched?.layer.scope ?? this.#core.scope);
    }
  }

  async #enter(index: number, { layer, params }: MatchedLayer, request: Request): Promise<unknown> {
    let inner: Promise<Response> | undefined;
    let fault: GatewayError | undefined;
    let isOver = false;
    const next: Next = (given) => {
      const mistake = mistakeOf(layer, given, inner !== undefined);
      if (mistake !== undefined) {
        if (isOver) this.#context.logger.error(mistake.message);
        fault ??= mistake;
        return rejected(mistake);
      }
      inner = this.#step(index + 1, given ?? request).then(changeableResponse);
      // a middleware that does not wait for it must not end the process by that
      inner.then(
        (response) => {
          if (isOver) discardResponse(response);
        },
        (error) => {
          if (isOver)
            this.#context.logger.error(
              `${titleOf(layer)} answered without waiting for next(), which failed: ${messageOf(error)}`,
            );
        },
      );
      return inner;
    };
    try {
      const result: unknown = await layer.run(request, next, this.#context, params);
      if (fault === undefined) return result;
      discardResponse(result);
    } finally {
      isOver = true;
    }
    throw fault;
  }

  /** The answer of the nearest onError; one that fails leaves the error to the next further out. */
  async #answerError(thrown: unknown, request: Request, nearest: RouterScope): Promise<Response> {
    let error = thrown;
    if (this.#unanswered !== undefined && this.#unanswered.error === error) throw error;
    for (let scope: RouterScope | undefined = nearest; scope !== undefined; scope = scope.parent) {
      if (scope.onError === undefined) continue;
      try {
        const result: unknown = await scope.onError(error, request, this.#context);
        if (isResponse(result)) return result;
        error = new TypeError(`onError returned ${describe(result)} in the place of a Response`, {
          cause: error,
        });
      } catch (next) {
        error = next;
      }
    }
    this.#unanswered = { error };
    throw error;
  }
}

function mistakeOf(layer: Layer, given: unknown, wasCalled: boolean): GatewayError | undefined {
  if (wasCalled) return new GatewayError('LGW_MIDDLEWARE', `${titleOf(layer)} called next() more than once`);
  if (given === undefined || given instanceof Request) return undefined;
  return new GatewayError(
    'LGW_MIDDLEWARE',
    `${titleOf(layer)} gave next() ${describe(given)} in the place of a Request: throw what is an error`,
    { cause: given },
  );
}

/** A rejection that ends nothing when nobody looks at it: the middleware fails by it anyway. */
function rejected(error: GatewayError): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => undefined);
  return promise;
}

function titleOf({ run, matcher }: Layer): string {
  const name = run.name === '' ? 'Middleware' : `Middleware ${JSON.stringify(run.name)}`;
  return `${name} of ${JSON.stringify(matcher.prefix)}`;
}
