import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { MinuteNotice } from '../../../src/base/minute-notice.ts';
import { AddressLimit, addressKey } from '../../../src/http/front/address-limit.ts';

test('addressKey() is the IPv4 address, also where IPv6 wraps it, or the first 64 bits of an IPv6 address', () => {
  const cases: readonly (readonly [string | undefined, string | undefined])[] = [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['2001:db8::7:0:0:0:1', '2001:db8:0:7::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    [undefined, undefined],
    ['', undefined],
  ];
  for (const [address, key] of cases) strictEqual(addressKey(address), key, String(address));
});

test('AddressLimit admits up to its maximum, and again when one has closed; nothing stays of an address without any', () => {
  const limit = new AddressLimit(2);
  strictEqual(limit.admit('a'), true);
  strictEqual(limit.admit('a'), true);
  strictEqual(limit.admit('a'), false);
  strictEqual(limit.admit('b'), true);
  limit.release('a');
  strictEqual(limit.admit('a'), true);
  strictEqual(limit.admit('a'), false);
});

test('MinuteNotice tells the first time, and then how often it was in each minute', () => {
  const notice = new MinuteNotice();
  const told = [0, 1, 59_999, 60_000, 60_001, 130_000].map((now) => notice.note(now));
  strictEqual(told.join(), '1,,,3,,2');
});
