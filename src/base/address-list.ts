/** Lists of addresses and networks, such as `192.0.2.7` and `10.0.0.0/8`. */
import { BlockList, isIP } from 'node:net';

/** Undefined where one of the texts is neither. */
export function parseAddressList(texts: readonly string[]): BlockList | undefined {
  const list = new BlockList();
  return texts.every((text) => add(list, text)) ? list : undefined;
}

function add(list: BlockList, text: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0) return false;
  const all = family === 4 ? 32 : 128;
  const count = bits === undefined ? all : Number(bits);
  if (count > all) return false;
  list.addSubnet(address, count, family === 4 ? 'ipv4' : 'ipv6');
  return true;
}
