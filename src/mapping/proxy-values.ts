/** What the single settings of a proxy may be, and in which words a refusal says so: for Lua, the command line and programs alike. */
import { parseAddressList } from '../base/address-list.ts';
import { isTag, TAG_BYTES_MAX, TAGS_MAX } from '../base/answer-tags.ts';
import { isAuthority } from '../base/authority.ts';
import {
  BALANCE_KINDS,
  type BalanceSettings,
  FORWARDED_FORMS,
  type ForwardedForm,
  RETRIES_MAX,
  TRUSTED_MAX,
  WEIGHT_MAX,
} from './proxy-settings.ts';

export interface ValueRule<T> {
  /** Completes `… has to be …` and `… was expected`. */
  readonly wants: string;
  accepts(value: unknown): value is T;
}

/** Bytes of a path: twice what servers commonly accept. */
const PATH_BYTES_MAX: number = 16 * 1024;
/** Bytes of a text that requests are put in their place by, and of the path of a check. */
const KEY_BYTES_MAX = 1024;
/** Bytes of the authorities of one upstream: all that a distribution has are a quarter of it. */
const CA_BYTES_MAX: number = 1024 * 1024;
/** Bytes of a name in the domain name system. */
const NAME_BYTES_MAX = 253;
/** Checks in a row that may be asked for. */
const CHECKS_IN_A_ROW_MAX = 100;
/** Checks more often than ten times a second would be a load of their own. */
const CHECK_MS_MIN = 100;
/** A day: a timer of Node ends at 24.8 days and fires at once beyond. */
const PROXY_TIME_MS_MAX = 86_400_000;

const PATH = /^\/[\x21-\x7e]*$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const SERVER_NAME = /^[A-Za-z0-9_:]([A-Za-z0-9_.:-]*[A-Za-z0-9_:])?$/;

interface ProxyValues {
  readonly host: ValueRule<string | boolean>;
  readonly retries: ValueRule<number>;
  readonly weight: ValueRule<number>;
  readonly forwarded: ValueRule<ForwardedForm>;
  readonly trusted: ValueRule<readonly string[]>;
  readonly path: ValueRule<string>;
  readonly balance: ValueRule<BalanceSettings['kind']>;
  readonly hashBy: ValueRule<'address' | 'path'>;
  readonly hashField: ValueRule<string>;
  readonly hashValue: ValueRule<string>;
  readonly checkPath: ValueRule<string>;
  readonly checkMs: ValueRule<number>;
  readonly checkStatus: ValueRule<number>;
  readonly checkCount: ValueRule<number>;
  readonly timeMs: ValueRule<number>;
  readonly tags: ValueRule<readonly string[]>;
  readonly verify: ValueRule<boolean>;
  readonly ca: ValueRule<string>;
  readonly servername: ValueRule<string>;
}

export const PROXY_VALUES: ProxyValues = {
  host: rule(
    'true, false, or a host with an optional port',
    (value) => typeof value === 'boolean' || (typeof value === 'string' && isAuthority(value)),
  ),
  retries: wholeNumber(0, RETRIES_MAX),
  weight: wholeNumber(1, WEIGHT_MAX),
  forwarded: rule('"x", "rfc7239", "both" or false', (value) =>
    FORWARDED_FORMS.some((form) => form === value),
  ),
  trusted: rule(
    `a list of addresses and networks such as 10.0.0.0/8, ${TRUSTED_MAX} at most`,
    (value) => isListOfTexts(value) && value.length <= TRUSTED_MAX && parseAddressList(value) !== undefined,
  ),
  path: pathOf(PATH_BYTES_MAX),
  balance: rule('"random2", "least" or "hash"', (value) => BALANCE_KINDS.some((kind) => kind === value)),
  hashBy: rule(
    '"address", "path", or one of a field and a value',
    (value) => value === 'address' || value === 'path',
  ),
  hashField: rule('the name of a field', (value) => isText(value, KEY_BYTES_MAX) && FIELD_NAME.test(value)),
  hashValue: rule(`a text of at most ${KEY_BYTES_MAX} bytes`, (value) => isText(value, KEY_BYTES_MAX)),
  checkPath: pathOf(KEY_BYTES_MAX),
  checkMs: rule(
    `a time from ${CHECK_MS_MIN / 1000} seconds to a day`,
    (value) => typeof value === 'number' && value >= CHECK_MS_MIN && value <= PROXY_TIME_MS_MAX,
  ),
  checkStatus: wholeNumber(100, 599),
  checkCount: wholeNumber(1, CHECKS_IN_A_ROW_MAX),
  timeMs: rule('a number of milliseconds above 0', (value) => typeof value === 'number' && value > 0),
  tags: rule(
    `a list of at most ${TAGS_MAX} tags of 1 to ${TAG_BYTES_MAX} bytes, without blanks and commas`,
    (value) =>
      isListOfTexts(value) &&
      value.length <= TAGS_MAX &&
      value.every((tag) => isTag(tag) && isText(tag, TAG_BYTES_MAX)),
  ),
  verify: rule('true or false', (value) => typeof value === 'boolean'),
  ca: rule(`certificates in PEM, ${CA_BYTES_MAX} bytes at most`, (value) => isText(value, CA_BYTES_MAX)),
  servername: rule(
    `a name or an address of at most ${NAME_BYTES_MAX} bytes`,
    (value) => isText(value, NAME_BYTES_MAX) && SERVER_NAME.test(value),
  ),
};

/** How a refused value is shown in a message. */
export function showValue(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? typeof value);
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`;
}

/** Characters of a refused value in a message. */
const SHOWN_MAX = 100;

function rule<T>(wants: string, accepts: (value: unknown) => boolean): ValueRule<T> {
  return { wants, accepts: accepts as ValueRule<T>['accepts'] };
}

function wholeNumber(min: number, max: number): ValueRule<number> {
  return rule(
    `a whole number from ${min} to ${max}`,
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  );
}

function pathOf(bytesMax: number): ValueRule<string> {
  return rule(
    `a path that begins with a slash, in plain ASCII without blanks, of at most ${bytesMax} bytes`,
    (value) => isText(value, bytesMax) && PATH.test(value),
  );
}

function isText(value: unknown, bytesMax: number): value is string {
  return typeof value === 'string' && Buffer.byteLength(value) <= bytesMax;
}

function isListOfTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}
