/** Heads of the second version of the PROXY protocol, right or wrong. */

/** `command`: version and command; `kind`: family and transport; `rest`: addresses and TLVs, whose length is told. */
export function proxyHeadV2(command: number, kind: number, rest: Uint8Array | readonly number[]): Buffer {
  const fixed = Buffer.from('\r\n\r\n\0\r\nQUIT\n\0\0\0\0', 'latin1');
  fixed[12] = command;
  fixed[13] = kind;
  fixed.writeUInt16BE(rest.length, 14);
  return Buffer.concat([fixed, Buffer.from(rest)]);
}
