/** An HTTP/1 connection as the budget of unread bodies sees it: its one body is held back by being read less far ahead. */
import type { BodyHolder } from '../exchange/unread-bodies.ts';

export class Http1BodyHolder implements BodyHolder {
  unreadBytes = 0;
  readonly isHeldBack = false;

  holdBack(): void {}

  letGo(): void {}
}
