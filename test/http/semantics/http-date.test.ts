/** Dates of HTTP, written and read. */
import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { formatHttpDate, httpDate, parseHttpDate } from '../../../src/http/semantics/http-date.ts';

test('httpDate() says the second that a time lies in, whatever it said before', () => {
  strictEqual(httpDate(784_111_777_000), 'Sun, 06 Nov 1994 08:49:37 GMT');
  strictEqual(httpDate(784_111_777_999), 'Sun, 06 Nov 1994 08:49:37 GMT');
  strictEqual(httpDate(784_111_778_000), 'Sun, 06 Nov 1994 08:49:38 GMT');
  strictEqual(httpDate(784_111_777_000), 'Sun, 06 Nov 1994 08:49:37 GMT');
});

test('parseHttpDate() reads what formatHttpDate() writes, from the year 0 to 9999', () => {
  for (const seconds of [-62_167_219_200, -1, 0, 784_111_777, 253_402_300_799])
    strictEqual(parseHttpDate(formatHttpDate(seconds * 1000)), seconds);
});
